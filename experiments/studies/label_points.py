"""Averages how many labels are right by panel, method and number of labels, from run files."""

import collections
from typing import NamedTuple

from alpt_jax.measures import intervals

METHODS = {  # How pictures name them, in the order of legends; others have their own names.
    'none': 'target only', 'dt1_idm': 'target only', 'one': '1 source', 'alpt_blocked': '1 source',
    'four': '4 sources', 'nine': '9 sources', 'alpt_blocked_tunnel': '2 sources, one tunneled',
    'alpt_two_blocked': '2 sources alike', 'permuted': '4 sources, actions permuted',
    'past': 'floor: past only', 'linear': 'floor: linear map of the change',
    'table': 'floor: table of the change', 'majority': 'floor: most frequent action',
    'ceiling': 'ceiling: all actions tried'}


class Point(NamedTuple):
  """The share of right labels of a method at a number of labels.

  Attributes:
    panel: what the picture is of: a game, or how mazes are observed.
    method: of the runs, or the name of a floor or ceiling.
    num_labels: of the target.
    mean: over seeds, in [0, 1].
    low, high: ends of the 95 % interval over seeds; None with fewer than two.
    seeds: how many.
  """
  panel: str
  method: str
  num_labels: int
  mean: float
  low: float | None
  high: float | None
  seeds: int


def points(files):
  """Averages the last evaluations of finished runs of IDMs.

  Args:
    files: contents of run files.

  Returns:
    List of `Point`, sorted.

  Raises:
    ValueError: if two runs have one seed, method, panel and number of labels.
  """
  values = collections.defaultdict(dict)
  for content in files:
    identity = content['identity']
    if content['status'] != 'done' or identity['part'] != 'labels':
      continue
    panel = identity.get('observation') or identity['target']
    found = {identity['method']: content['curves']['label_accuracy'][-1]} | references(content)
    for method, value in found.items():
      of_seeds = values[panel, method, identity['num_labels']]
      if method == identity['method'] and identity['seed'] in of_seeds:
        raise ValueError(f'{content["run"]}: a second run of {method} with {panel}, '
                         f'{identity["num_labels"]} labels and seed {identity["seed"]}.')
      of_seeds[identity['seed']] = value
  result = []
  for (panel, method, num_labels), of_seeds in values.items():
    found = intervals.mean([of_seeds[seed] for seed in sorted(of_seeds)])
    result.append(Point(panel, method, num_labels, found.value, found.low, found.high, found.n))
  order = {method: i for i, method in enumerate(METHODS)}
  return sorted(result, key=lambda point: (point.panel, order.get(point.method, -1), point.method,
                                           point.num_labels))


def references(content):
  """Lists floors fitted to the same labels, and the ceiling, that a run file has.

  Args:
    content: of the file.

  Returns:
    {'table', 'linear', 'majority' or 'ceiling': share of right labels}; of the ceiling, the higher
    of the expected and the realised, as in reports.
  """
  found = {}
  if content.get('table_floor'):
    found |= {name: content['table_floor'][name] for name in ('table', 'majority')}
  labels = (content.get('floors') or {}).get('labels') or {}
  for name in ('linear', 'majority'):
    if (labels.get('floors') or {}).get(name):
      found[name] = labels['floors'][name]['value']
  ceiling = labels.get('ceiling') or {}
  known = [ceiling[name]['value'] for name in ('expected', 'realised') if ceiling.get(name)]
  if known:
    found['ceiling'] = max(known)
  return found
