"""How fast elbax is, against its peers and against what the machine could do: `scripts/bench`."""
