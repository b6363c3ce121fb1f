"""Programs that start and watch runs; see README.md."""

from alpt_jax import starting

starting.begin()
