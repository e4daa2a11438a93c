"""Documents that list what the code has, each compared with it: nothing is missing there, and nothing too much."""
