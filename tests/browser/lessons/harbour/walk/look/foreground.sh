echo "second script"
