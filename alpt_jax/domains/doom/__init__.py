"""Scenarios of Doom, played with keys and mouse."""
