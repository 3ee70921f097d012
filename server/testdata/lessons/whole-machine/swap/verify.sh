swapon --show=NAME | grep -q /pond
