"""Tighter bounds on log p(x)."""
