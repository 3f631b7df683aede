"""Distributions that numpyro lacks, what is drawn from them, and their divergences."""
