"""TPU slices: names and sizes on each platform, from preflight.py's notation, v5e:4x4."""

import math
import re
from typing import NamedTuple


class _Generation(NamedTuple):
  """What the platforms call a generation of TPUs.

  Attributes:
    accelerator: prefix of gcloud's --accelerator-type.
    cores: that the number after it counts per chip.
    runtime: gcloud's --runtime-version.
    gke: value of the node label cloud.google.com/gke-tpu-accelerator.
    num_axes: of a topology.
  """
  accelerator: str
  cores: int
  runtime: str
  gke: str
  num_axes: int


# docs.cloud.google.com/tpu/docs/runtimes and /kubernetes-engine/docs/concepts/plan-tpus.
_GENERATIONS = {
    'v4': _Generation('v4', 2, 'tpu-ubuntu2204-base', 'tpu-v4-podslice', 3),
    'v5e': _Generation('v5litepod', 1, 'v2-alpha-tpuv5-lite', 'tpu-v5-lite-podslice', 2),
    'v5p': _Generation('v5p', 2, 'v2-alpha-tpuv5', 'tpu-v5p-slice', 3),
    'v6e': _Generation('v6e', 1, 'v2-alpha-tpuv6e', 'tpu-v6e-slice', 2),
}
_CHIPS_PER_VM = 4  # Of slices of more than one VM; v5e and v6e with 8 chips have one VM.


class Slice(NamedTuple):
  """A TPU slice.

  Attributes:
    accelerator_type: for gcloud, e.g. v5litepod-16.
    runtime_version: for gcloud.
    gke_accelerator: for GKE.
    topology: for GKE, e.g. 4x4.
    num_chips: in all.
    num_vms: of a TPU VM of that type.
  """
  accelerator_type: str
  runtime_version: str
  gke_accelerator: str
  topology: str
  num_chips: int
  num_vms: int


def parse(text):
  """Reads e.g. 'v5e:4x4'.

  Returns:
    `Slice`.

  Raises:
    ValueError: for a generation or topology that there is not.
  """
  name, _, topology = text.partition(':')
  generation = _GENERATIONS.get(name)
  if generation is None or not re.fullmatch(r'[1-9]\d*(x[1-9]\d*)*', topology) or (
      topology.count('x') + 1 != generation.num_axes):
    raise ValueError(f'tpu is {text!r}; expected v5e:4x4, v6e:4x4, v4:2x2x4 or v5p:2x2x4, in other '
                     'sizes, too.')
  num_chips = math.prod(int(size) for size in topology.split('x'))
  one_vm = num_chips <= (8 if generation.num_axes == 2 else _CHIPS_PER_VM)
  return Slice(f'{generation.accelerator}-{num_chips * generation.cores}', generation.runtime,
               generation.gke, topology, num_chips,
               1 if one_vm else num_chips // _CHIPS_PER_VM)
