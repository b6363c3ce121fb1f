"""Flax modules; no loss, no config."""
