"""Studies: many runs, and what they found together."""
