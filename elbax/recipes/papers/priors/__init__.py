"""Priors that are learned."""
