"""Configs of all programs."""
