"""Runs in an experiment tracker: scalars, pictures, options and files, as the training goes.

A tracker changes no number of a run, and none is imported unless it is asked for.
"""
