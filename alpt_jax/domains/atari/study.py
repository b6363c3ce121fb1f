"""Plans the runs of the Atari experiment, and describes them for results.json.

Two parts. 'labels' trains IDMs alone and asks how well they label the target's hidden actions.
'score' trains agents, pretraining first where the method has it, and plays the game.
"""

import dataclasses
import itertools
import os

import numpy as np

from alpt_jax import domains, methods, schema
from alpt_jax.data import rlds
from alpt_jax.domains import study as studies
from alpt_jax.domains.atari import metrics
from alpt_jax.domains.atari import scores as atari_scores
from alpt_jax.reports import findings

ENVIRONMENTS = 'games'
SEEDS_HAVE_TARGETS = False
SHOWN_OF = ('part', 'method', 'target', 'num_labels')
IDENTITY = {'num_labels': float, 'phase': schema.one_of(methods.PHASES),
            'part': schema.one_of(findings.PARTS)}
FLOOR_OF = ()  # Of images there is no table of the change; a run's `floors` stand for it.
_GAME = {
    'role': str, 'checkpoints': [{str: schema.NUMBER}], **schema.optional(
        (str, None), 'behaviour', 'notice'), **schema.optional(
            schema.NUMBER, 'num_transitions', 'num_episodes', 'random', 'human',
            'majority_accuracy', 'chance_accuracy')}
RESULTS = {'games': {str: _GAME}}  # What `describe` adds to results.json.


def plan(config):
  """Returns the `study.Run`s of the experiment; a pretraining comes before what starts from it.

  Agents are trained with the config's number of labels, or with those of `study.score.budgets`. A
  variant may have `budgets` and `targets` of its own, and `more` runs beside those of the study,
  e.g. more=dict(seeds=(5, 6, 7, 8, 9), budgets=(300,)). With `draw`, that many of its `sources` are
  drawn by a run's seed; variants that draw from the same games have nested sets.

  IDMs without pretraining make the updates of both phases; agents do so with `equal_updates` of
  `study.score`. Numbers of updates may depend on target and number of labels: `steps_of` of a part
  or, first, of a variant, e.g. {'Gopher': dict(num_steps=4000), '300': dict(num_steps=200)}. What
  else a variant changes may depend on the number of labels: `changes_of`, see `own_changes` of
  `domains.study`.

  Raises:
    ValueError: naming the field that is empty, repeats an entry, or is not as above.
  """
  planned = []
  for name in ('seeds', 'score_seeds'):
    if not config.study[name]:
      raise ValueError(f'study.{name} is empty; expected at least one seed, e.g. (0,).')
  studies.check_distinct(config.study, 'seeds', 'score_seeds', 'score.targets', 'labels.targets',
                      'labels.budgets')
  budgets = config.study.score.get('budgets', (config.num_labels,))
  planned += _part(config, 'score', config.study.score_seeds, budgets)
  planned += _part(config, 'labels', config.study.seeds, config.study.labels.budgets,
                   train_dt=False)
  # The longest chains first, so that none is left over in the end.
  return sorted(_once(planned), key=lambda run: run.part == 'labels')


def _part(config, part, seeds, budgets, **changes):
  """The runs of one part of the study."""
  study, planned = config.study[part], []
  cells = {name: _cells(variant, seeds, budgets, f'study.{part}.variants.{name}')
           for name, variant in study.variants.items()}
  asked = sorted(set().union(*cells.values()))  # Those that only a variant has come last.
  seeds = dict.fromkeys([*seeds, *(seed for seed, _ in asked)])
  budgets = dict.fromkeys([*budgets, *(budget for _, budget in asked)])
  _check_updates(study, part, budgets)
  for seed, target, budget in itertools.product(seeds, study.targets, budgets):
    names = [name for name, variant in study.variants.items()
             if (seed, budget) in cells[name] and target in _targets(study, part, name)]
    planned += _runs(config, part, target, seed, names, num_labels=budget, **changes)
  return planned


def _cells(variant, seeds, budgets, where):
  """The (seed, number of labels) of a variant's runs."""
  cells = set(itertools.product(seeds, variant.get('budgets') or budgets))
  more = variant.get('more')
  if more:
    if set(more) != {'seeds', 'budgets'} or not more.seeds or not more.budgets:
      raise ValueError(f'{where}.more is {more.to_dict()}; expected seeds and budgets, e.g. '
                       'dict(seeds=(5, 6), budgets=(300,)).')
    cells |= set(itertools.product(more.seeds, more.budgets))
  return cells


def _targets(study, part, name):
  """The targets of a variant."""
  targets = study.variants[name].get('targets') or study.targets
  for target in targets:
    if target not in study.targets:
      raise ValueError(f'study.{part}.variants.{name}.targets has {target!r}; expected some of '
                       f'study.{part}.targets, {tuple(study.targets)}.')
  return targets


def _sources(variant, name, excluded, seed):
  """The sources of a variant's run; see `plan`."""
  games = tuple(s for s in variant.sources if s not in excluded)
  number = variant.get('draw', len(games))
  if not 0 <= number <= len(games):
    raise ValueError(f'draw of variant {name!r} is {number}; expected at most {len(games)}, its '
                     'sources without the target.')
  if 'draw' in variant:
    games = tuple(games[i] for i in np.random.default_rng(seed).permutation(len(games)))
  return games[:number]


_UPDATES = ('pretrain_steps', 'num_steps', 'eval_every_steps')


def _updates(study, name, target, num_labels):
  """{name in _UPDATES: number} of a variant's runs; see `plan`."""
  found = {key: study[key] for key in _UPDATES}
  for group in (study, study.variants[name]):
    for key in (target, str(num_labels)):
      found |= group.get('steps_of', {}).get(key, {})
  return found


def _check_updates(study, part, budgets):
  """Refuses numbers of updates that no run would make."""
  known = {*study.targets, *map(str, budgets)}
  for where, group in ((f'study.{part}', study), *(
      (f'study.{part}.variants.{name}', variant) for name, variant in study.variants.items())):
    for key, steps in group.get('steps_of', {}).items():
      if key not in known or not set(steps) <= set(_UPDATES):
        raise ValueError(f'{where}.steps_of has {key!r}: {dict(steps)}; expected one of '
                         f'{sorted(known)}, and of it some of {_UPDATES}.')
    for key in group.get('changes_of', {}):
      if key not in map(str, budgets):
        raise ValueError(f'{where}.changes_of has {key!r}; expected one of '
                         f'{sorted(map(str, budgets))}.')


def _runs(config, part, target, seed, names, **changes):
  """The runs of some variants of one part of the study."""
  study, planned = config.study[part], []
  for name in names:
    variant = study.variants[name]
    phase = variant.get('phase', 'finetune')
    is_pretrained = phase == 'finetune' and methods.METHODS[variant.method].pretrain is not None
    common = changes | dict(method=variant.method, seed=seed, label_seed=seed)
    if not methods.METHODS[variant.method].is_action_limited:  # One run stands for all budgets.
      common['num_labels'] = config.num_labels
    updates = _updates(study, name, target, common['num_labels'])
    common['eval_every_steps'] = updates['eval_every_steps']
    own = dict(target=target, other_targets=(), sources=_sources(variant, name, (target,), seed))
    pretraining = None
    if is_pretrained:
      pretraining = _pretraining(config, part, target, seed, common | own, study, name)
      planned.append(pretraining)
    # Who is not pretrained gets the steps of both, to be compared after as many of either kind.
    is_longer = not is_pretrained and study.get('equal_updates', part == 'labels')
    num_steps = updates['num_steps'] + (updates['pretrain_steps'] if is_longer else 0)
    last = common | own | _of_phase(config, phase) | dict(phase=phase, num_steps=num_steps)
    if phase == 'joint':
      last = _with_equal_shares(config, last)
    last |= studies.own_changes(variant, phase, common['num_labels'])
    planned.append(studies.Run(f"{part}-{target}-{common['num_labels']}-{name}-seed{seed}", name,
                               last, after=pretraining, part=part))
  return planned


def _pretraining(config, part, target, seed, changes, study, name):
  """The pretraining that a variant's run starts from: its own, or that of another variant.

  What is trained twice in the same way is trained once: `pretraining` of a variant names the
  variant whose pretraining it takes.
  """
  variant = study.variants[name]
  of = variant.get('pretraining') or name
  if of not in study.variants:
    raise ValueError(f'study.{part}.variants.{name}.pretraining is {of!r}; expected the name of a '
                     f'variant: {", ".join(study.variants)}.')
  before, where, first = study.variants[of], target, {}
  if before.get('shared'):  # Section 5.4: one pretraining for all targets.
    target, *others = study.targets
    where, first = 'all', dict(target=target, other_targets=tuple(others))
  first |= dict(method=before.method, sources=_sources(
      before, of, study.targets if first else (target,), seed))
  num_steps = _updates(study, of, target, changes['num_labels'])['pretrain_steps']
  return studies.Run(
      f"{part}-pretrain-{where}-{changes['num_labels']}-{of}-seed{seed}", of,
      _with_equal_shares(config, changes | first | _of_phase(config, 'pretrain')
                         | dict(phase='pretrain', num_steps=num_steps))
      | studies.own_changes(before, 'pretrain', changes['num_labels']), part=part)


def _with_equal_shares(config, changes):
  """Rounds the batches of a pretraining to as many rows for each of its games."""
  num_games = 1 + len(changes['other_targets']) + len(changes['sources'])
  unit = config.sampling.num_shards * num_games
  return changes | {name: max(round(changes.get(name, config[name]) / unit), 1) * unit
                    for name in ('batch_size', 'idm_batch_size')}


def _of_phase(config, phase):
  """Fields that the experiment's config gives to the runs of a phase only."""
  phases = config.study.get('phases')
  return phases[phase].to_dict() if phases else {}


def _once(planned):
  """Keeps one of the runs that have the same name: e.g. a pretraining that targets share."""
  first = {}
  for run in planned:
    first.setdefault(run.name, run)
  return [run if run.after is None else dataclasses.replace(run, after=first[run.after.name])
          for run in first.values()]


def _games(planned):
  """{game: 'target' or 'source'}; what is a target anywhere is one."""
  sources = {name: 'source' for run in planned for name in run.changes['sources']}
  return sources | {name: 'target' for run in planned
                    for name in (run.changes['target'], *run.changes['other_targets'])}


def describe(config, planned):
  """Returns what results.json says of the experiment beside its runs; see `results_file`."""
  described = (studies.describe(config.study.labels.variants)
               | studies.describe(config.study.score.variants))
  present = {run.variant for run in planned}
  result = {
      # A figure has one of the two parts, and not the methods of the other.
      'methods': {name: about for name, about in described.items() if name in present},
      'games': {game: _describe_game(config, game, role)
                for game, role in _games(planned).items()},
      'episodes': [],
  }
  if config.study.score.get('budgets'):
    result['budgets'] = sorted({*config.study.score.budgets, *config.study.labels.budgets})
  return result


def identity(run, own):
  """Returns the fields that identify a run in the results; `own` is its config."""
  return {'run': run.name, 'method': run.variant, 'part': run.part, 'phase': own.phase,
          'target': own.target, 'sources': list(own.sources), 'seed': own.seed,
          'num_labels': own.num_labels}


def scores(own, evaluation):
  """Returns {column: number or None} of an evaluation."""
  played = evaluation.get(own.evaluation.acting_mode, {})
  return {f'sampled/{name}': played.get(name) for name in (
      *metrics.METRICS, 'num_episodes', 'num_cut', 'most_frequent_share', 'longest_run')}


def title(own, label):
  """Names a run where its labels are shown; None of one that is not finetuned."""
  return label if own.phase == 'finetune' else None


def shown(run, evaluations):
  """Returns nothing beyond what all runs show."""
  del run, evaluations
  return {}


def _describe_game(config, game, role):
  directory = domains.of(config).directories(game)[0]
  card = rlds.read_card(directory) or {}
  random, human = atari_scores.RANDOM_AND_HUMAN[game]
  return {'role': role, 'random': random, 'human': human, 'majority_accuracy': None,
          'chance_accuracy': None, 'directory': os.path.relpath(directory, config.data_dir),
          'behaviour': card.get('metadata', {}).get('behaviour'), 'notice': card.get('notice'),
          'num_transitions': card.get('num_transitions'),
          'num_episodes': card.get('num_episodes'), 'checkpoints': card.get('checkpoints', [])}
