"""Shares the rows of the global batch between the parts of an update and the environments."""

import operator
from typing import NamedTuple

from alpt_jax import methods
from alpt_jax.learners import learner
from alpt_jax.training import sharding


def split_rows(batch_size, num_environments, num_shards, *, name='batch_size', num_labelled=0,
               labelled_share=0.):
  """Divides the rows of a batch among streams, as equally as whole shards allow.

  Args:
    batch_size: rows in all.
    num_environments: streams, at least 1.
    num_shards: every share is a multiple of it.
    name: of the config field, for messages.
    num_labelled: how many of the streams, the last ones, are labelled windows of a target.
    labelled_share: share of all rows that each of these gets, in (0, 1); rounded to whole shards,
      at least one. The others share the rest equally, and what that leaves over goes to the
      labelled ones, too. 0. for as much as the others.

  Returns:
    List of ints, larger ones first among equals.

  Raises:
    ValueError: if a share would be empty, or the shards do not divide the batch.
  """
  units, rest = divmod(batch_size, num_shards)
  if rest or units < num_environments:
    raise ValueError(f'{name} is {batch_size}; expected a multiple of sampling.num_shards '
                     f'{num_shards}, of at least {num_environments * num_shards} for '
                     f'{num_environments} environments.')
  num_others = num_environments - num_labelled
  if labelled_share and num_labelled and num_others:
    each = (units - num_labelled * max(round(labelled_share * units), 1)) // num_others
    if each < 1:
      raise ValueError(
          f'sampling.labelled_share is {labelled_share}, for each of {num_labelled} targets; '
          f'expected less: of {name} {batch_size}, too little is left for {num_others} other '
          'environments.')
    labelled = split_rows((units - each * num_others) * num_shards, num_labelled, num_shards)
    return [each * num_shards] * num_others + labelled
  small, extra = divmod(units, num_environments)
  return [(small + (i < extra)) * num_shards for i in range(num_environments)]


class Share(NamedTuple):
  """The windows that one environment gives to one part of the update.

  Attributes:
    part: a field of `types.Batches`.
    environment: index into the specs.
    data: one of the names in `methods`: which of its windows.
    rows: windows in the global batch.
  """
  part: str
  environment: int
  data: str
  rows: int


def of(config, phase, specs):
  """Decides what an update consumes.

  Args:
    config: the run's.
    phase: a `methods.Phase`.
    specs: from `domains.specs`: targets first, then sources.

  Returns:
    A list of `Share`.

  Raises:
    ValueError: for a batch size that cannot be shared.
  """
  num_targets = len(specs) - len(config.sources)
  environments = {methods.SOURCES: range(num_targets, len(specs)),
                  methods.LABELLED: range(num_targets), methods.TARGET: range(num_targets)}
  result = []
  for field, parts in learner.make(config, phase, specs).parts():
    wanted = [(name, environment) for name in parts for environment in environments[name]]
    if not wanted:
      continue
    # Beside sources only: else the batch is the target's.
    is_weighted = methods.SOURCES in parts and methods.LABELLED in parts
    if is_weighted and config.sampling.labelled_share:
      wanted.sort(key=lambda stream: stream[0] == methods.LABELLED)
    rows = split_rows(
        operator.attrgetter(field)(config), len(wanted), config.sampling.num_shards, name=field,
        num_labelled=num_targets if is_weighted else 0,
        labelled_share=config.sampling.labelled_share)
    result += [Share(parts[name], environment, name, num_rows)
               for (name, environment), num_rows in zip(wanted, rows, strict=True)]
  return result


def part_rows(config, phase, specs):
  """Counts rows by part of the global batch: {'idm': 128, 'limited': 32, ...}; absent if 0."""
  result = {}
  for share in of(config, phase, specs):
    result[share.part] = result.get(share.part, 0) + share.rows
  return result


def check_rows(config, phase, specs, mesh):
  """Refuses batches that the devices and hosts of a mesh cannot share.

  Raises:
    ValueError: naming the field, and the next value that would do.
  """
  num_shards, num_hosts = config.sampling.num_shards, sharding.num_processes(mesh)
  if num_shards % num_hosts:
    raise ValueError(f'sampling.num_shards is {num_shards}; expected a multiple of the {num_hosts} '
                     f'hosts, e.g. {-(-num_shards // num_hosts) * num_hosts}.')
  rows = part_rows(config, phase, specs)
  for field, part_of in learner.make(config, phase, specs).parts():
    parts = [part for part in dict.fromkeys(part_of.values()) if part in rows]
    if all(rows[part] % (mesh.size * config.sharding.accumulate) == 0 for part in parts):
      continue
    for_each = ', '.join(f'{part} {rows[part]}' for part in parts)
    raise ValueError(
        f'{field} is {operator.attrgetter(field)(config)}, windows of {for_each}; expected '
        f'multiples of {mesh.size} devices times sharding.accumulate '
        f'{config.sharding.accumulate}. Use '
        f'{_next_batch_size(config, phase, specs, mesh, field, parts)}, or fewer devices with '
        '--config.sharding.num_devices.')


def _next_batch_size(config, phase, specs, mesh, field, parts):
  """The smallest larger value of a field that the devices can share."""
  changed = config.copy_and_resolve_references()
  unit = mesh.size * config.sharding.accumulate
  value = operator.attrgetter(field)(config)
  while True:
    value += config.sampling.num_shards
    changed.update_from_flattened_dict({field: value})
    rows = part_rows(changed, phase, specs)
    if all(rows[part] % unit == 0 for part in parts):
      return value
