"""The maze experiment: its runs, and what they found."""

import os

from alpt_jax import versions
from alpt_jax.data import rlds
from alpt_jax.envs import maze, maze_anchors
from experiments import collect, run_files, runs


def plan(config):
  """Returns the `runs.Run`s of the experiment; seed i goes with target i.

  `study.budgets` asks for the runs of every number of labels, whose names say it.
  """
  study = config.study
  runs.check_distinct(study, 'seeds', 'observations')
  if len(study.seeds) != len(study.targets):
    raise ValueError(f'study.seeds has {len(study.seeds)} entries, study.targets '
                     f'{len(study.targets)}; expected a target for every seed.')
  return [
      runs.Run(
          '-'.join((observation, *map(str, changes.values()), name, f'seed{seed}')), name,
          changes | dict(
              method=variant.method, observation=observation, target=target,
              sources=variant.sources, seed=seed, label_seed=seed) | runs.own_changes(variant))
      for observation in study.observations
      for seed, target in zip(study.seeds, study.targets, strict=True)
      for name, variant in study.variants.items()
      for changes in runs.of_budgets(config, variant, study.get('budgets'))]


def collect_data(config, planned):
  """Records the data that is missing."""
  del planned
  collect.main(config)


def gather(config, planned, failed, kept):
  """Collects what the runs have written.

  Args:
    config: of the experiment.
    planned: list of `runs.Run`.
    failed: the runs that failed in this session.
    kept: {run: its run file} of those that are not read from their directories.

  Returns:
    The part of results.json that is about mazes; see `results_file`.
  """
  roles = {run.changes['target']: 'target' for run in planned}
  for variant in config.study.variants.values():
    roles |= {name: 'source' for name in variant.sources}
  result = {
      'thresholds': list(config.study.thresholds),
      'methods': runs.describe(config.study.variants),
      'mazes': {name: _describe_maze(name, role, config) for name, role in roles.items()},
      'runs': [], 'rows': [], 'labellings': [],
  }
  if config.study.get('budgets'):
    result['budgets'] = list(config.study.budgets)
  truths, is_shown = {}, set()
  for run in planned:
    if run in kept:
      result['rows'] += run_files.rows(kept[run])
      result['runs'].append(run_files.shown(kept[run]) | {'rollout': None})
      continue
    observation = run.changes['observation']
    if observation not in truths:
      truths[observation] = runs.Truths(runs.run_config(config, run))
    scores = runs.label_scores(config, run, truths[observation])
    own = runs.run_config(config, run)
    result['rows'] += rows(config, run, scores['accuracy'])
    status = runs.status(config, run, failed)
    # The first target that is done stands for the others.
    setting = observation, run.variant, own.num_labels
    if status == 'done' and scores['labelling'] and setting not in is_shown:
      is_shown.add(setting)
      result['labellings'].append(
          runs.shown_labelling(
              run, own, f"{result['methods'][run.variant]['label']} ({observation})",
              scores['labelling']))
    result['runs'].append(identity(run, own) | {
        'status': status, 'seconds': runs.seconds(config, run) or None,
        'num_steps': config.num_steps, 'rollout': _rollout(config, run),
        'damaged': runs.damaged(config, run) + scores['problems'],
        'versions': versions.of_run(os.path.join(config.workdir, run.name))})
  return result


def identity(run, own):
  """What tells a run from others, in the results; `own` is its config."""
  names = ('observation', 'target', 'seed', 'num_labels')
  return ({'run': run.name, 'method': run.variant} | {name: own[name] for name in names}
          | {'sources': list(own.sources)})


def _describe_maze(name, role, config):
  layout = maze.layout_of(name)
  card = rlds.read_card(os.path.join(config.data_dir, name))
  return {
      'role': role, 'kind': card['name'].split('-')[2], 'size': layout.size,
      'walls': layout.walls.astype(int).tolist(), 'goal': [int(x) for x in layout.goal],
      'anchors': maze_anchors.anchors(
          layout, config.collect.epsilon, config.collect.horizon),
      'num_transitions': card['num_transitions'], 'num_episodes': card['num_episodes'],
  }


def rows(config, run, accuracy):
  """Returns the rows of a run, one an evaluation.

  Args:
    config: of the experiment.
    run: a `runs.Run`.
    accuracy: {step: share of the hidden actions that are labelled right}.
  """
  found, own = [], runs.run_config(config, run)
  for step, scores in runs.evaluations(config, run).items():
    row = identity(run, own) | {'step': step, 'frames': step * own.batch_size * own.window,
                                'label_accuracy': accuracy.get(step)}
    for mode in ('argmax', 'sampled'):
      for name in ('success_500', 'success_50', 'spl', 'mean_steps'):
        row[f'{mode}/{name}'] = scores.get(mode, {}).get(name)
    found.append(row)
  return found


def _rollout(config, run):
  """The paths of the last evaluation that has some; else None."""
  with_paths = [scores['paths'] for scores in runs.evaluations(config, run).values()
                if 'paths' in scores]
  return {'acting': 'argmax', 'target': run.changes['target'],
          'episodes': with_paths[-1]['argmax']} if with_paths else None
