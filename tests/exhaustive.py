"""Says how much of an exhaustive test is run: a tenth, drawn with a seed, or all of it.

All of it: `make test-exhaustive`, or --exhaustive of pytest (see conftest.py).
"""

import os
import random

VARIABLE = 'ALPT_TESTS_EXHAUSTIVE'  # Set by --exhaustive, also for the processes of pytest.


def is_on():
  """Whether everything is run."""
  return os.environ.get(VARIABLE) == '1'


def num_of(num_all):
  """How many of `num_all` random trials are made; at least 1."""
  return num_all if is_on() else -(-num_all // 10)


def some_of(cases, *, seed=0, at_least=1):
  """Returns those of the cases that are run, in their order."""
  cases = list(cases)
  if is_on():
    return cases
  count = min(len(cases), max(at_least, num_of(len(cases))))
  chosen = random.Random(seed).sample(range(len(cases)), count)
  return [cases[i] for i in sorted(chosen)]
