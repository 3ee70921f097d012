echo typed-by-code
