"""Atari games of sections 5.1 to 5.5."""
