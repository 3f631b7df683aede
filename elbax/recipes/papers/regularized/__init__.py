"""Other penalties than the KL to the prior."""
