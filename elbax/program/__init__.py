"""A model's functions as lists of a few kinds of steps, for what runs them without JAX."""
