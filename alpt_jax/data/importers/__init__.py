"""Readers of recordings of other formats."""
