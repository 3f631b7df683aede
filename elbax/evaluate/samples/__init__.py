"""What are samples like? Distances to the data, coverage and copies, in a feature space."""
