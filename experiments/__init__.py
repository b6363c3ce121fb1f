"""Programs, each run with python -m experiments.<name>."""

from alpt_jax import starting

starting.begin()
