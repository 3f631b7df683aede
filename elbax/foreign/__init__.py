"""Models that other tools trained, as models of elbax."""
