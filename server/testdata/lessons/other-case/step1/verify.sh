test -f x
