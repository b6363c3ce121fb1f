"""Plans the runs of the maze experiment, and describes them for results.json."""

import os

from alpt_jax import schema
from alpt_jax.data import rlds
from alpt_jax.domains import study as studies
from alpt_jax.domains.maze import anchors, env, metrics

ENVIRONMENTS = 'mazes'
SEEDS_HAVE_TARGETS = True
IDENTITY = {'observation': str}
# Not of the target: the first one that is done stands for the others.
SHOWN_OF = ('observation', 'method', 'num_labels')
FLOOR_OF = ('observation', 'target', 'seed', 'num_labels')
_LABELS = 'labels'  # The part of the study that trains IDMs alone.
_CELL = schema.Rule([int], lambda x: len(x) == 2, '[row, column]')
_METRICS = {str: schema.NUMBER}
_MAZE = {
    'role': str, 'kind': str, 'size': float, 'goal': _CELL,
    'walls': schema.Rule(
        schema.filled([list]), lambda rows: len({len(row) for row in rows}) == 1,
        'rows of 0 and 1, equally long'),
    'anchors': {'policies': {str: _METRICS}, 'idm': _METRICS}}
_ROLLOUT = {'acting': str,
            'episodes': [{'start': _CELL, 'path': [_CELL], 'reached': bool}]}


def _check_rollouts(results, where):
  """Refuses paths of other mazes."""
  rollout = _ROLLOUT | {'target': schema.one_of(results['mazes'])}
  schema.check(results, {'runs': [{'rollout?': (rollout, None)}]}, where)


# What `describe` adds to results.json, and `shown` to its runs.
RESULTS = schema.Also({'thresholds': [float], 'mazes': {str: _MAZE}}, _check_rollouts)


def plan(config):
  """Returns the `study.Run`s of the experiment; seed i goes with target i.

  Two parts: IDMs alone (`study.labels`), with `num_labels` and each other number of labels, and
  agents (`study.variants`). `study.budgets` asks for agents with every number of labels instead.
  """
  study = config.study
  studies.check_distinct(study, 'seeds', 'observations')
  if len(study.seeds) != len(study.targets):
    raise ValueError(f'study.seeds has {len(study.seeds)} entries, study.targets '
                     f'{len(study.targets)}; expected a target for every seed.')
  if study.get('labels') and study.get('budgets') is not None:
    raise ValueError(f'study.budgets is {tuple(study.budgets)}, and study.labels is there, too; '
                     'expected one of the two. Use --config.study.labels.budgets for IDMs alone.')
  for name, variant in [x for part in (study, study.get('labels')) if part
                        for x in part.variants.items()]:
    if variant.get('more'):  # As games have them.
      raise ValueError(f'more of variant {name!r} is {variant.more.to_dict()}; expected none in '
                       'mazes, where every seed has its target.')
  common = [dict(observation=observation, target=target, seed=seed, label_seed=seed)
            for observation in study.observations
            for seed, target in zip(study.seeds, study.targets, strict=True)]
  planned = [run for changes in common for run in _agent_runs(config, changes)]
  if study.get('labels'):  # Last: they take less long, so that no worker waits for the other.
    planned += [run for changes in common for run in _label_runs(config, changes)]
  return planned


def _label_runs(config, common):
  study, planned = config.study.labels, []
  for name, variant in study.variants.items():
    budgets = variant.get('budgets') or {config.num_labels, *study.budgets}
    for budget in sorted(budgets):
      planned.append(studies.Run(
          f"labels-{common['observation']}-{budget}-{name}-seed{common['seed']}", name,
          common | dict(
              method=variant.method, sources=variant.sources, num_labels=budget, train_dt=False,
              **{key: study[key] for key in (
                  'num_steps', 'eval_every_steps', 'num_label_windows')})
          | studies.own_changes(variant), part=_LABELS))
  return planned


def _agent_runs(config, common):
  return [
      studies.Run(
          '-'.join((common['observation'], *map(str, changes.values()), name,
                    f"seed{common['seed']}")), name,
          changes | common | dict(method=variant.method, sources=variant.sources)
          | studies.own_changes(variant))
      for name, variant in config.study.variants.items()
      for changes in studies.of_budgets(config, variant, config.study.get('budgets'))]


def describe(config, planned):
  """Returns what results.json says of the experiment beside its runs; see `results_file`."""
  variants = {**config.study.get('labels', {}).get('variants', {}), **config.study.variants}
  roles = {run.changes['target']: 'target' for run in planned}
  for variant in variants.values():
    roles |= {name: 'source' for name in variant.sources}
  result = {
      'thresholds': list(config.study.thresholds),
      'methods': studies.describe(variants),
      'mazes': {name: _describe_maze(name, role, config) for name, role in roles.items()},
  }
  return result | ({'budgets': list(config.study.budgets)} if config.study.get('budgets') else {})


def identity(run, own):
  """Returns the fields that identify a run in the results; `own` is its config."""
  names = ('observation', 'target', 'seed', 'num_labels')
  return ({'run': run.name, 'part': run.part or 'score', 'method': run.variant}
          | {name: own[name] for name in names} | {'sources': list(own.sources)})


def _describe_maze(name, role, config):
  layout = env.layout_of(name)
  card = rlds.read_card(os.path.join(config.data_dir, name))
  return {
      'role': role, 'kind': card['name'].split('-')[2], 'size': layout.size,
      'walls': layout.walls.astype(int).tolist(), 'goal': [int(x) for x in layout.goal],
      'anchors': anchors.anchors(
          layout, config.collect.epsilon, config.collect.horizon),
      'num_transitions': card['num_transitions'], 'num_episodes': card['num_episodes'],
  }


def scores(own, evaluation):
  """Returns {column: number or None} of an evaluation."""
  return {f'{mode}/{name}': evaluation.get(mode, {}).get(name)
          for mode in (('argmax', 'sampled') if own.train_dt else ())
          for name in metrics.METRICS}


def title(own, label):
  """Names a run where its labels are shown."""
  return f'{label} ({own.observation})'


def shown(run, evaluations):
  """Returns the paths of the last evaluation that has some."""
  with_paths = [scores['paths'] for scores in evaluations.values() if 'paths' in scores]
  return {'rollout': {'acting': 'argmax', 'target': run.changes['target'],
                      'episodes': with_paths[-1]['argmax']} if with_paths else None}
