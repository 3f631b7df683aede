"""Data that are larger than memory: read again and again in pieces, never as a whole."""
