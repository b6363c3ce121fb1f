"""Programs that start and watch runs; see README.md."""

from alpt_jax.process import starting

starting.begin()
