"""Latents that are codes: each a vector out of a few, and what learns, counts and draws them."""
