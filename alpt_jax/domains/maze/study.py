"""The maze experiment: its runs, and what they found."""

import os

from alpt_jax import domains, versions
from alpt_jax.data import labels, rlds
from alpt_jax.domains.maze import anchors, env
from alpt_jax.labelling import run_labels
from experiments import collect
from experiments.studies import run_files, runs

LABELS = 'labels'  # The part of the study that trains IDMs alone.


def plan(config):
  """Returns the `runs.Run`s of the experiment; seed i goes with target i.

  Two parts: IDMs alone (`study.labels`), with `num_labels` and each other number of labels, and
  agents (`study.variants`). `study.budgets` asks for agents with every number of labels instead.
  """
  study = config.study
  runs.check_distinct(study, 'seeds', 'observations')
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
      planned.append(runs.Run(
          f"labels-{common['observation']}-{budget}-{name}-seed{common['seed']}", name,
          common | dict(
              method=variant.method, sources=variant.sources, num_labels=budget, train_dt=False,
              **{key: study[key] for key in (
                  'num_steps', 'eval_every_steps', 'num_label_windows')})
          | runs.own_changes(variant), part=LABELS))
  return planned


def _agent_runs(config, common):
  return [
      runs.Run(
          '-'.join((common['observation'], *map(str, changes.values()), name,
                    f"seed{common['seed']}")), name,
          changes | common | dict(method=variant.method, sources=variant.sources)
          | runs.own_changes(variant))
      for name, variant in config.study.variants.items()
      for changes in runs.of_budgets(config, variant, config.study.get('budgets'))]


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
  variants = {**config.study.get('labels', {}).get('variants', {}), **config.study.variants}
  roles = {run.changes['target']: 'target' for run in planned}
  for variant in variants.values():
    roles |= {name: 'source' for name in variant.sources}
  result = {
      'thresholds': list(config.study.thresholds),
      'methods': runs.describe(variants),
      'mazes': {name: _describe_maze(name, role, config) for name, role in roles.items()},
      'runs': [], 'rows': [], 'labellings': [], 'floors': [],
  }
  if config.study.get('budgets'):
    result['budgets'] = list(config.study.budgets)
  truths, is_shown, floors = {}, set(), {}
  for run in planned:
    if run in kept:
      result['rows'] += run_files.rows(kept[run])
      shown = run_files.shown(kept[run]) | {'rollout': None}
      del shown['floors']  # Those of games.
      result['runs'].append(shown)
      floor = kept[run].get('table_floor')
      if floor:
        floors.setdefault(_setting(floor), floor)
      continue
    observation = run.changes['observation']
    if observation not in truths:
      truths[observation] = runs.Truths(runs.run_config(config, run))
    scores = runs.label_scores(config, run, truths[observation])
    own = runs.run_config(config, run)
    result['rows'] += rows(config, run, scores['accuracy'])
    status = runs.status(config, run, failed)
    # The first target that is done stands for the others, an agent's IDM for those alone.
    setting = observation, run.variant, own.num_labels
    if status == 'done' and scores['labelling'] and setting not in is_shown:
      is_shown.add(setting)
      result['labellings'].append(
          runs.shown_labelling(
              run, own, f"{result['methods'][run.variant]['label']} ({observation})",
              scores['labelling']))
    problems = runs.damaged(config, run) + scores['problems']
    if run.part == LABELS and scores['labelling']:
      problems += _add_floor(floors, own, truths[observation])
    result['runs'].append(identity(run, own) | {
        'status': status, 'seconds': runs.seconds(config, run) or None,
        'num_steps': own.num_steps, 'rollout': _rollout(config, run), 'damaged': problems,
        'versions': versions.of_run(os.path.join(config.workdir, run.name))})
  result['floors'] = list(floors.values())
  return result


_SETTING = ('observation', 'target', 'seed', 'num_labels')


def _setting(about):
  """What runs share whose labels have one floor."""
  return tuple(about[name] for name in _SETTING)


def _add_floor(floors, own, truths):
  """Adds the floors of a run's labels, which all methods share; returns a list of problems."""
  if _setting(own) in floors:
    return []
  try:
    floors[_setting(own)] = table_floor(own, truths)
  except (OSError, ValueError) as error:
    return [f'floors of its labels are not known: {error}']
  return []


def table_floor(own, truths):
  """Measures the table of the change, fitted to the labels of a run, where its IDM is scored.

  Args:
    own: config of the run.
    truths: `runs.Truths` of its observation.

  Returns:
    Its entry in the `floors` of results.json; None for an agent, whose labels are an IDM's, too.

  Raises:
    OSError, ValueError: if its labels cannot be read.
  """
  if own.train_dt:
    return None
  spec = domains.of(own).spec(own, own.target)
  choice = labels.read_choice(os.path.join(own.workdir, 'labels.json'))
  path = run_labels.files(own.workdir, last_step=own.num_steps)[-1]
  return {name: own[name] for name in _SETTING} | run_labels.table_floor(
      path, truths[own.target], choice, spec)


def identity(run, own):
  """What tells a run from others, in the results; `own` is its config."""
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
    for mode in ('argmax', 'sampled') if own.train_dt else ():
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
