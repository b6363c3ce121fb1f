"""Imported by every Python that a test starts: looks for garbage less often, see conftest.py."""

import gc

gc.set_threshold(100_000, 50, 100)
