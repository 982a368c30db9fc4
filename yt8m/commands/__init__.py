"""Commands: flags and entry points, one command a file. Flags are read here alone."""
