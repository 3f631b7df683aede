"""Trained runs that answer requests: over HTTP, and as an assistant's tools over stdio."""
