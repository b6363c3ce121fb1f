"""Programs that start and watch runs; see README.md."""

import experiments  # Takes interrupts while a program starts, see `starting`.  # noqa: F401
