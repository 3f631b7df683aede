"""What every room may use: atomic files, random keys, and the machine that elbax runs on."""
