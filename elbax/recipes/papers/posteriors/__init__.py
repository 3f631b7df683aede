"""Posteriors other than the diagonal normal."""
