"""Programs, each run with python -m experiments.<name>."""

from alpt_jax.process import starting

starting.begin()
