"""The Atari experiment: its runs, and what they found.

Two parts. 'labels' trains IDMs alone and asks how well they label the target's hidden actions.
'score' trains agents, pretraining first where the method has it, and plays the game.
"""

import os

from alpt_jax import domains, evaluate, methods
from alpt_jax.data import rlds
from alpt_jax.envs import atari_scores
from experiments import collect_atari, runs


def plan(config):
  """Returns the `runs.Run`s of the experiment, pretrainings first."""
  study = config.study
  first, rest = [], []
  for seed in study.seeds:
    for target in study.score.targets:
      for name, variant in study.score.variants.items():
        common = dict(method=variant.method, target=target, other_targets=(),
                      sources=_sources(variant, target), seed=seed, label_seed=seed)
        prefix = f'score-{target}-{name}'
        pretraining = None
        if methods.METHODS[variant.method].pretrain is not None:
          pretraining = runs.Run(
              f'{prefix}-pretrain-seed{seed}', name,
              common | dict(phase='pretrain', num_steps=study.score.pretrain_steps), part='score')
          first.append(pretraining)
        rest.append(runs.Run(
            f'{prefix}-seed{seed}', name,
            common | dict(phase='finetune', num_steps=study.score.num_steps), after=pretraining,
            part='score'))
  for seed in study.seeds:
    for target in study.labels.targets:
      for budget in study.labels.budgets:
        for name, variant in study.labels.variants.items():
          rest.append(runs.Run(
              f'labels-{target}-{budget}-{name}-seed{seed}', name,
              dict(method=variant.method, target=target, other_targets=(),
                   sources=_sources(variant, target), seed=seed, label_seed=seed, phase='joint',
                   train_dt=False, num_labels=budget, num_steps=study.labels.num_steps,
                   eval_every_steps=study.labels.eval_every_steps,
                   checkpoint_every_steps=study.labels.num_steps),
              part='labels'))
  return first + rest


def _sources(variant, target):
  return tuple(s for s in variant.sources if s != target)


def _variants(config):
  return {name: variant for part in (config.study.labels, config.study.score)
          for name, variant in part.variants.items()}


def _games(planned):
  """{game: 'target' or 'source'}; what is a target anywhere is one."""
  sources = {name: 'source' for run in planned for name in run.changes['sources']}
  return sources | {run.changes['target']: 'target' for run in planned}


def collect_data(config, planned):
  """Collects the data that is missing."""
  collect_atari.main(config, sorted(_games(planned)))


def gather(config, planned, failed):
  """Collects what the runs have written.

  Args:
    config: of the experiment.
    planned: list of `runs.Run`.
    failed: the runs that failed in this session.

  Returns:
    The part of results.json that is about games; see `results_file`.
  """
  games = _games(planned)
  truths = {game: domains.of(config).read(config, game)
            for game, role in games.items() if role == 'target'}
  result = {
      'methods': {name: {'label': variant.label,
                         'description': methods.METHODS[variant.method].description}
                  for name, variant in _variants(config).items()},
      'games': {game: _describe_game(config, game, role) for game, role in games.items()},
      'runs': [], 'rows': [],
  }
  for run in planned:
    target = run.changes['target']
    own = runs.run_config(config, run)
    accuracy = evaluate.score_labels(own.workdir, truths[target])
    for step, scores in runs.evaluations(config, run).items():
      played = scores.get(own.evaluation.acting_mode, {})
      result['rows'].append(_identity(run, own) | {
          'step': step, 'frames': step * own.batch_size * own.window,
          'label_accuracy': accuracy.get(step),
          **{f'sampled/{name}': played.get(name) for name in (
              'score', 'score_std', 'score_median', 'human_normalised', 'num_episodes')}})
    result['runs'].append(_identity(run, own) | {
        'status': runs.status(config, run, failed), 'seconds': runs.seconds(config, run) or None,
        'num_steps': runs.num_steps(config, run)})
    if accuracy:
      # Of the newest labels; the baselines hardly differ between runs.
      result['games'][target] |= evaluate.label_baselines(
          own.workdir, truths[target], num_actions=len(domains.of(config).spec(
              config, target).legal_actions))
  return result


def _identity(run, own):
  return {'run': run.name, 'method': run.variant, 'part': run.part, 'phase': own.phase,
          'target': own.target, 'sources': list(own.sources), 'seed': own.seed,
          'num_labels': own.num_labels}


def _describe_game(config, game, role):
  directory = domains.of(config).directories(config, game)[0]
  card = rlds.read_card(directory) or {}
  random, human = atari_scores.RANDOM_AND_HUMAN[game]
  return {'role': role, 'random': random, 'human': human, 'majority_accuracy': None,
          'chance_accuracy': None, 'directory': os.path.relpath(directory, config.data_dir),
          'behaviour': card.get('metadata', {}).get('behaviour'), 'notice': card.get('notice'),
          'num_transitions': card.get('num_transitions'),
          'num_episodes': card.get('num_episodes'), 'checkpoints': card.get('checkpoints', [])}
