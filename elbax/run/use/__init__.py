"""What a trained run is used for: samples, encodings, filled tables, scores, and their files."""
