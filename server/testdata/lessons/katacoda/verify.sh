if [ -f x ]; then echo done; fi
