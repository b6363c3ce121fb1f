"""TPU chips that runs are planned for: their numbers, and compile-only devices.

The compiler for all of them is libtpu, which needs no TPU: `make libtpu` gets it.
"""

import math
import os
import pathlib
from typing import NamedTuple

import jax
from jax.experimental import topologies


class Chip(NamedTuple):
  """What a chip can do at best.

  Attributes:
    flops: operations a second in bf16.
    clock: cycles a second.
    hbm_bytes: of memory.
    hbm_bandwidth: bytes a second.
    ici_bandwidth: bytes a second out of a chip through one ring, i.e. two of its links.
    options: for the description of a slice: one device per chip, as JAX has it on the machine.
    dimensions: of a slice's topology.
  """
  flops: float
  clock: float
  hbm_bytes: int
  hbm_bandwidth: float
  ici_bandwidth: float
  options: dict
  dimensions: int


# FLOP/s, HBM and links: docs.cloud.google.com/tpu/docs, pages v4, v5e, v5p, v6e (2026); links there
# are given as the sum of both directions of four (v5e, v6e) or six (v4, v5p) links. The clock is
# what makes the matrix units give these FLOP/s: v4 2 x 4 x 128 x 128 multiply-adds a cycle (Jouppi
# et al., 2023: 1050 MHz), v5e 4 x 128 x 128, v5p 2 x 4 x 128 x 128, v6e 4 x 256 x 256. A product of
# 8192 x 8192 matrices then is estimated at 70 % (v6e) to 93 % (v4) of the peak.
_GIB = 1 << 30
CHIPS = {
    'v4': Chip(275e12, 1.05e9, 32 * _GIB, 1228e9, 100e9, dict(chip_config_name='megacore'), 3),
    'v5e': Chip(197e12, 1.5e9, 16 * _GIB, 819e9, 100e9, {}, 2),
    'v5p': Chip(459e12, 1.75e9, 95 * _GIB, 2765e9, 200e9, {}, 3),
    'v6e': Chip(918e12, 1.75e9, 32 * _GIB, 1638e9, 200e9, {}, 2),
}
MAX_CHIPS = 256

# Where `make libtpu` puts it: in an environment of its own, as every JAX program of an environment
# that has it looks for TPUs first.
_LIBRARY = pathlib.Path(__file__).resolve().parents[1] / '.libtpu' / 'libtpu' / 'libtpu.so'
_ENVIRONMENT = {  # Of libtpu: ask nothing of a cloud that is not there, share, be quiet.
    'TPU_SKIP_MDS_QUERY': '1', 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1', 'TPU_WORKER_ID': '0',
    'TPU_ACCELERATOR_TYPE': 'v5litepod-1', 'TPU_WORKER_HOSTNAMES': 'localhost',
    'TPU_STDERR_LOG_LEVEL': '3', 'TPU_MIN_LOG_LEVEL': '3', 'TPU_LOG_DIR': 'disabled'}


def parse(topology):
  """Reads a topology, e.g. 'v5e:4x4'.

  Args:
    topology: name of a chip, and how many there are in each direction.

  Returns:
    `Chip`, number of chips.

  Raises:
    ValueError: if there is no such slice, or it is too large.
  """
  name, _, shape = topology.partition(':')
  sizes = shape.split('x')
  chip = CHIPS.get(name)
  if chip is None or len(sizes) != chip.dimensions or not all(
      size.isdigit() and int(size) for size in sizes):
    raise ValueError(f'--topology={topology}: no such slice; expected a chip of {", ".join(CHIPS)} '
                     'and a shape, e.g. v5e:2x4, v6e:16x16, v4:2x2x4, v5p:4x4x4.')
  num_chips = math.prod(map(int, sizes))
  if num_chips > MAX_CHIPS:
    raise ValueError(f'--topology={topology}: {num_chips} chips; expected at most {MAX_CHIPS}.')
  return chip, num_chips


def devices(topology):
  """Lists the devices to compile for; they can't run anything.

  To be called before JAX is used in any other way: the process computes on the CPU from then on,
  also where there are TPUs.

  Args:
    topology: as for `parse`.

  Returns:
    A list of as many devices as chips.

  Raises:
    ValueError: if libtpu is not there, or does not know the slice.
  """
  chip, num_chips = parse(topology)
  jax.config.update('jax_platforms', 'cpu')
  os.environ |= _ENVIRONMENT
  if 'TPU_LIBRARY_PATH' not in os.environ and _LIBRARY.exists():
    os.environ['TPU_LIBRARY_PATH'] = str(_LIBRARY)
  options = dict(chip.options)
  if num_chips == 1:
    options['chips_per_host_bounds'] = (1, 1, 1)
  try:
    found = topologies.get_topology_desc(topology, 'tpu', **options).devices
  except (RuntimeError, jax.errors.JaxRuntimeError) as error:
    if 'not installed' in str(error):
      raise ValueError('libtpu, the compiler for TPUs, is not here; get it (213 MB) with '
                       '`make libtpu`.') from error
    raise ValueError(f'--topology={topology}: {error}') from error
  assert len(found) == num_chips, found
  return found
