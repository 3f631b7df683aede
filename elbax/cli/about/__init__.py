"""The commands that say what there is: data, recipes and parts; each file is one command."""
