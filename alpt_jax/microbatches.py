"""Microbatches: windows that are computed together, one set after the other.

On a CPU, the activations of a whole batch do not fit the cache, and every operation then waits for
memory. Accelerators compute a batch at once, unless memory is short (`sharding.accumulate`).
"""

import math

import jax


def count(rows, *, size, num_devices=1, at_least=1):
  """Decides how many microbatches a batch becomes.

  Args:
    rows: list of the rows of its parts, e.g. [48, 12]; each microbatch has as many of a part.
    size: windows of a microbatch on each device, wished at most; 0 for no limit.
    num_devices: which share the rows of every microbatch.
    at_least: microbatches; divides the rows on a device.

  Returns:
    The smallest number that leaves at most `size` windows and divides the rows of all parts on a
    device; if none leaves so few, the largest that divides.
  """
  each = math.gcd(*rows) // num_devices
  counts = [n for n in range(at_least, each + 1) if each % n == 0]
  fitting = [n for n in counts if not size or sum(rows) // num_devices <= n * size]
  return (fitting or counts or [at_least])[0 if fitting else -1]


def split(batches, number):
  """[B, ...] -> [number, B / number, ...] of every array; part i has rows i, i + number, ...

  Not runs of rows: a device holds a run, and has to have its share of every microbatch.
  """
  return jax.tree.map(
      lambda x: x.reshape(-1, number, *x.shape[1:]).swapaxes(0, 1), batches)


def map_rows(function, arrays, number):
  """Applies a function of single rows to arrays [B, ...], in `number` microbatches.

  Args:
    function: function(arrays [B / number, ...]) -> a tree of arrays with as many rows.
    arrays: a tree of arrays [B, ...].
    number: of microbatches, a divisor of B.

  Returns:
    A tree of arrays [B, ...].
  """
  if number == 1:
    return function(arrays)
  result = jax.lax.map(function, split(arrays, number))
  return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), result)
