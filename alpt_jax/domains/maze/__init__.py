"""Mazes of section 5.6."""
