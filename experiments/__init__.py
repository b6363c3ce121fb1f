"""Programs, each run with python -m experiments.<name>."""

from experiments import starting

starting.begin()
