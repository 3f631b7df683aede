"""Likelihoods with a story of their own."""
