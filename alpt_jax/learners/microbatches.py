"""Gradient accumulation: updates computed in microbatches, one after the other.

On a CPU, the activations of a whole batch do not fit the cache, and every operation then waits for
memory. Accelerators compute a batch at once, unless memory is short (`sharding.accumulate`).
"""

import math

import jax
import jax.numpy as jnp

CACHE_BYTES = 3 << 19  # 1.5 MiB; the second-level cache of a core has 1 to 2.


def windows(networks, window):
  """Decides how many windows fit the cache of a core together. It measures nothing.

  An operation on the CPU writes all of its output before the next one reads it. So the largest
  output that a layer of one of the networks has for a window, at most `CACHE_BYTES` / n, lets n
  windows stay in the cache; what a layer copies to compute it is not counted. For windows of 5
  transitions of Atari it is the float32 frames (patches, 165 KiB: 9 windows) or the first features
  (convolutions, 331 KiB: 4 windows). The budget was chosen so that both lie where updates on one
  core were fastest. Fewer windows gain nothing: each microbatch reads all parameters, and adds up
  all gradients.

  Args:
    networks: `alpt.Networks`.
    window: T.

  Returns:
    Windows of a microbatch, at least 1. It depends on the sizes of the networks only.
  """
  spec = networks.dt.spec
  observations, inputs = (
      jax.ShapeDtypeStruct((1, n, *spec.observation_shape), spec.observation_dtype)
      for n in (window + 1, window))
  ids = jax.ShapeDtypeStruct((1, window), jnp.int32)
  actions = jax.ShapeDtypeStruct((1, window, *spec.actions.shape), jnp.int32)
  largest = max(
      4 * math.prod(observations.shape),  # The tokenizers make them float32.
      _largest_output(networks.idm, observations),
      _largest_output(networks.dt, inputs, ids, actions, ids))
  return max(CACHE_BYTES // largest, 1)


def _largest_output(network, *inputs):
  """Bytes of the largest result of a matrix product or convolution."""
  variables = jax.eval_shape(network.init, jax.random.key(0), *inputs)
  largest, waiting = 0, [jax.make_jaxpr(network.apply)(variables, *inputs).jaxpr]
  while waiting:
    for equation in waiting.pop().eqns:
      if equation.primitive.name in ('dot_general', 'conv_general_dilated'):
        result = equation.outvars[0].aval
        largest = max(largest, result.size * result.dtype.itemsize)
      # Functions inside, e.g. of `jax.jit`: closed, or not.
      inner = [getattr(value, 'jaxpr', value) for value in equation.params.values()]
      waiting += [value for value in inner if hasattr(value, 'eqns')]
  return largest


def count(rows, *, size, num_devices=1, at_least=1):
  """Decides how many microbatches a batch becomes.

  Args:
    rows: list of the rows of its parts, e.g. [48, 12]; each microbatch has as many of a part.
    size: windows of a microbatch on each device, wished at most; 0 for no limit.
    num_devices: which share the rows of every microbatch.
    at_least: microbatches; divides the rows on a device.

  Returns:
    A number that divides the rows of all parts on a device. The smallest that leaves at most `size`
    windows, if it leaves at least half as many: single rows, of a prime number, would be slower
    than all at once. Else the largest that leaves as many.
  """
  each, total = math.gcd(*rows) // num_devices, sum(rows) // num_devices
  counts = [n for n in range(at_least, each + 1) if each % n == 0] or [at_least]
  large = [n for n in counts if 2 * total >= n * size]
  fitting = [n for n in large if not size or total <= n * size]
  return fitting[0] if fitting else large[-1] if large else counts[0]


def split(batches, number, num_devices=1):
  """Reshapes every array from [B, ...] to [number, B / number, ...], device by device.

  A device has its share of every microbatch; on one device nothing is moved.
  """
  def cut(x):
    x = x.reshape(num_devices, number, -1, *x.shape[1:])
    return x.swapaxes(0, 1).reshape(number, -1, *x.shape[3:])

  return jax.tree.map(cut, batches)


def map_rows(function, arrays, number, num_devices=1):
  """Applies a function of single rows to arrays [B, ...], in `number` microbatches.

  Args:
    function: function(arrays [B / number, ...]) -> a tree of arrays with as many rows.
    arrays: a tree of arrays [B, ...].
    number: of microbatches, a divisor of B / num_devices.
    num_devices: which share the rows.

  Returns:
    A tree of arrays [B, ...].
  """
  if number == 1:
    return function(arrays)

  def join(x):
    x = x.reshape(number, num_devices, -1, *x.shape[2:])
    return x.swapaxes(0, 1).reshape(-1, *x.shape[3:])

  return jax.tree.map(join, jax.lax.map(function, split(arrays, number, num_devices)))
