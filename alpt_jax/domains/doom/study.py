"""Plans the runs of the study of Doom, and describes them: agents, and the labels of their IDMs."""

from alpt_jax import domains, schema
from alpt_jax.data import rlds
from alpt_jax.domains import study as studies
from alpt_jax.domains.doom import metrics, score_floors

ENVIRONMENTS = 'scenarios'
SEEDS_HAVE_TARGETS = False
SHOWN_OF = ('method', 'target', 'num_labels')
IDENTITY = {'num_labels': float}
FLOOR_OF = ()  # Of images there is no table of the change.
_MODES = 'sampled', 'argmax'
_AGENTS = {str: {'score': float, 'standard_error': float}}
RESULTS = {'scenarios': {str: {'role': str, 'num_transitions': float, 'num_episodes': float,
                               'checkpoints': [{str: schema.NUMBER}], 'agents': _AGENTS}}}


def plan(config):
  """Returns the `study.Run`s: every variant with every seed and number of labels; one target.

  All make as many updates, and both networks are trained at once. Who knows all actions is trained
  once a seed.
  """
  study = config.study
  studies.check_distinct(study, 'seeds', 'budgets')
  return [studies.Run(
      f"{config.target}-{changes['num_labels']}-{name}-seed{seed}", name,
      changes | dict(method=variant.method, target=config.target, sources=variant.sources,
                     seed=seed, label_seed=seed) | studies.own_changes(variant))
          for seed in study.seeds for name, variant in study.variants.items()
          for changes in studies.of_budgets(config, variant, study.budgets)]


def describe(config, planned):
  """Returns what results.json says of the study beside its runs; see `results_file`."""
  names = {config.target, *(name for run in planned for name in run.changes['sources'])}
  return {'methods': studies.describe(config.study.variants),
          'scenarios': {name: _describe(config, name) for name in sorted(names)}}


def _describe(config, name):
  domain = domains.of(config)
  directory, = domain.directories(name)
  card, agents = rlds.read_card(directory), {}
  if name == config.target and config.study.floors.score_games:
    found = score_floors.known(directory, domain.read(name), name,
                               frame_skip=config.collect.frame_skip)
    agents = {agent: {key: about[key] for key in ('score', 'standard_error')}
              for agent, about in found['agents'].items()}
  return {'role': 'target' if name == config.target else 'source', 'agents': agents,
          **{key: card[key] for key in ('num_transitions', 'num_episodes', 'checkpoints')}}


def identity(run, own):
  """Returns the fields that identify a run in the results; `own` is its config."""
  return {'run': run.name, 'method': run.variant, 'target': own.target,
          'sources': list(own.sources), 'seed': own.seed, 'num_labels': own.num_labels}


def scores(own, evaluation):
  """Returns {column: number or None} of an evaluation."""
  names = (*metrics.METRICS, 'num_episodes', 'num_cut', 'most_frequent_share', 'longest_run')
  return {f'{mode}/{name}': evaluation.get(mode, {}).get(name)
          for mode in (_MODES if own.train_dt else ()) for name in names}


def title(own, label):
  """Names a run where its labels are shown."""
  del own
  return label


def shown(run, evaluations):
  """Returns nothing beyond what all runs show."""
  del run, evaluations
  return {}
