"""Recorded data of any origin."""
