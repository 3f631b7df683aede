"""Recipes whose latents are codes."""
