"""The commands that make a run, or take one: each file is one command."""
