"""Latents that are each one factor of the data."""
