"""Plans the runs of a study, and describes them: what the `study` modules of domains share.

A domain whose agents or labels are studied has a module `study` with
  plan(config): the `Run`s; what a run starts from comes before it.
  describe(config, planned): what results.json says beside its runs: `methods`, the environments
    under ENVIRONMENTS, settings. A list `episodes`, empty, asks for films of episodes.
  identity(run, own): what tells a run from others; `own` is its config.
  scores(own, evaluation): {column: number or None} of eval/step_*.json.
  title(own, label): how a run is called where its labels and episodes are shown, with the label of
    its method; None if they are not.
  shown(run, evaluations): fields of a run for the report; of {step: evaluation}, maybe empty.
  ENVIRONMENTS: field of results.json, {name: about}.
  SEEDS_HAVE_TARGETS: whether target i goes with seed i, instead of every target with every seed.
  RESULTS: kind of what `describe` adds to results.json, see `schema`.
  IDENTITY: {field: kind} of what, with method, target and seed, makes a run.
  SHOWN_OF: fields of the identity; of runs that agree in them the first one is shown.
  FLOOR_OF: fields that runs share whose labels have one table of the change; () where there is
    none.
"""

import dataclasses
import operator
from typing import Any

from alpt_jax import configs, domains, methods, schema


def of(config):
  """Returns the module `study` of a config's domain.

  Raises:
    ValueError: if it has none.
  """
  return named(config.experiment)


def named(experiment, field='experiment'):
  """Returns the module `study` of a domain.

  Args:
    experiment: as in a config, or in results.json.
    field: what holds the name, for messages.

  Raises:
    ValueError: if there is no such domain, or it has no study.
  """
  found = domains.named(experiment, field).module('study')
  schema.expect(field, experiment, found is not None, 'a domain with studies of many runs, e.g. '
                'maze or atari')
  return found


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
  """One training run of an experiment.

  Attributes:
    name: of its directory in the experiment's.
    variant: key of the study's variants.
    changes: {field: value} of the experiment's config that make it the run's.
    after: the run whose parameters this one starts from, or None.
    part: of the study, for the results.
  """
  name: str
  variant: str
  changes: dict[str, Any]
  after: 'Run | None' = None
  part: str = ''

  def __str__(self):
    return self.name


def check_distinct(study, *keys):
  """Refuses entries of a study that stand there twice: their runs would have one name.

  Args:
    study: a group of the experiment's config.
    *keys: of tuples in it, e.g. 'seeds', 'score.targets'.

  Raises:
    ValueError: naming the field and the entry.
  """
  for key in keys:
    values = operator.attrgetter(key)(study)
    for value in values:
      if list(values).count(value) > 1:
        raise ValueError(f'study.{key} is {tuple(values)}, with {value!r} more than once; expected '
                         f'every entry once. Leave out the repeated one in --config.study.{key}.')


def own_labels(variant):
  """Returns the changes of a variant that has `pseudo_labels` of its own; else none."""
  own = variant.get('pseudo_labels')
  return {'pseudo_labels': own.to_dict()} if own else {}


def own_changes(variant, phase='', num_labels=None):
  """Returns what a variant changes in the config of its runs, beside method and sources.

  Args:
    variant: of the study; its `changes` are for all its runs, those under the name of a phase
      ('pretrain', 'finetune') for the runs of that phase, and those under a number of labels in
      `changes_of`, e.g. {'3000': dict(window=6)}, for runs with as many.
    phase: of the run.
    num_labels: of the run.

  Returns:
    {field: value or, of a group, {field: value}}; that of the number of labels last.
  """
  result = {}
  for changes in (variant.get('changes'), variant.get(phase),
                  variant.get('changes_of', {}).get(str(num_labels))):
    result = _merged(result, changes.to_dict() if changes else {})
  return result | own_labels(variant)


def _merged(first, second):
  """Merges nested dicts; where both have a value, the second's."""
  return first | {key: _merged(first[key], value)
                  if isinstance(value, dict) and key in first else value
                  for key, value in second.items()}


def describe(variants):
  """Returns {name: {'label', 'description', ...}} of a study's variants, for the results."""
  return {name: {'label': variant.label, 'description': _description(variant),
                 'is_action_limited': methods.METHODS[variant.method].is_action_limited,
                 **_is_floor_or_control(variant)} for name, variant in variants.items()}


def _is_floor_or_control(variant):
  own = [own_changes(variant, phase) for phase in methods.PHASES]
  return {'is_floor': any(x.get('model', {}).get('idm_is_causal', False) for x in own),
          'is_control': any(x.get('source_actions', 'true') != 'true' for x in own)}


def _description(variant):
  words = [methods.METHODS[variant.method].description]
  for own in own_labels(variant).values():
    words.append('Labels: ' + ', '.join(f'{key} {value}' for key, value in own.items()) + '.')
  parts = [('', variant.get('changes')), ('Pretraining: ', variant.get('pretrain')),
           ('Finetuning: ', variant.get('finetune'))]
  parts += [(f'With {int(n):,} labels: ', own) for n, own in variant.get('changes_of', {}).items()]
  for where, own in parts:
    if own:
      words.append(where + ', '.join(
          f'{key} {value}' for key, value in configs.flatten(own.to_dict()).items()) + '.')
  return ' '.join(words)


def of_budgets(config, variant, budgets):
  """Lists the changes by which runs of a variant with other numbers of labels differ.

  Args:
    config: of the experiment.
    variant: of the study.
    budgets: numbers of labels, or None for those of the config.
  """
  if budgets is None:
    return [{}]
  if not budgets or len(set(budgets)) < len(budgets):
    raise ValueError(f'study.budgets is {tuple(budgets)}; expected numbers of labels, each once, '
                     'e.g. (50, 250).')
  if not methods.METHODS[variant.method].is_action_limited:
    budgets = (config.num_labels,)
  return [{'num_labels': budget} for budget in budgets]
