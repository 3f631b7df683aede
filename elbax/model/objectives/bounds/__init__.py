"""Bounds on log p(x) by several draws of a datum, and what lies between them."""
