"""Who uses it: the only room with a command line, plots, files and reports."""
