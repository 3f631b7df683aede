"""Models that use labels."""
