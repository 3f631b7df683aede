"""Published figures: what papers report, and what elbax obtains at their settings."""
