"""Estimates how long an experiment will take: what is left to do, times measured rates.

Rates come from runs of the same kind that are finished, in the same directory; where there are
none, from `config.study.rates`, which says what it was measured on. An estimate is for planning a
day, not for quoting: it knows nothing of what else the machine does.
"""

import dataclasses
import os

from alpt_jax import domains, methods
from alpt_jax.learners import learner
from experiments.studies import floors, runs

_DIGITS = 2


@dataclasses.dataclass(frozen=True)
class Work:
  """A group of runs of a variant that make as many updates.

  Attributes:
    label: of the method, for readers.
    phase: 'pretrain', 'finetune' or 'joint'.
    num_runs: all of them.
    num_finished: of them.
    num_steps: updates of a run.
    seconds: of the runs that are not finished, on one worker; what they have done counts for none.
  """
  label: str
  phase: str
  num_runs: int
  num_finished: int
  num_steps: int
  seconds: float


def kind(config, run):
  """Returns the networks that a run updates: 'both', 'idm', 'dt' or 'q'."""
  own = runs.run_config(config, run)
  phase = methods.phase_of(own.method, own.phase)
  networks = [name for name, has in (
      ('idm', phase.idm),
      (learner.of_method(own.method).agent, phase.agent and own.train_dt)) if has]
  return networks[0] if len(networks) == 1 else 'both'


def _of_run(config, run, measured):
  """Seconds that a run takes from start to end."""
  key = kind(config, run), run.changes.get('phase', 'joint')
  steps = runs.num_steps(config, run)
  if key in measured:
    return measured[key] * steps
  rates = config.study.rates
  own = runs.run_config(config, run)
  plays = own.phase != 'pretrain' and own.train_dt
  # Before the first update, and after the last.
  evaluations = 1 + -(-steps // own.eval_every_steps) if plays else 0
  return (rates.start + steps * rates[key[1]][key[0]] + evaluations * rates.evaluation)


def plan(config, planned, finished):
  """Says what an experiment has to do.

  Args:
    config: of the experiment.
    planned: list of `study.Run`.
    finished: those of them that are.

  Returns:
    A list of `Work`; seconds of the whole on `num_workers` workers; where the rates come from.
  """
  measured = {}
  for run in finished:
    seconds = runs.seconds(config, run)
    if seconds:
      key = kind(config, run), run.changes.get('phase', 'joint')
      measured.setdefault(key, []).append(seconds / runs.num_steps(config, run))
  measured = {key: sum(rates) / len(rates) for key, rates in measured.items()}
  groups = {}
  for run in planned:
    key = run.part, run.variant, run.changes.get('phase', 'joint'), runs.num_steps(config, run)
    groups.setdefault(key, []).append(run)
  result, sources = [], set()
  for group in groups.values():
    left = [run for run in group if run not in finished]
    own = runs.run_config(config, group[0])
    label = _label(config, group[0])
    seconds = sum(_of_run(config, run, measured) for run in left)
    sources |= {(kind(config, run), own.phase) in measured for run in left}
    result.append(Work(label, own.phase, len(group), len(group) - len(left),
                       runs.num_steps(config, group[0]), seconds))
  words = {True: 'finished runs in this directory', False: config.study.rates.source}
  total = sum(work.seconds for work in result) / num_workers(config, len(planned))
  return result, total, ' and '.join(words[source] for source in sorted(sources, reverse=True))


def num_workers(config, num_runs):
  """Chooses how many runs are trained side by side."""
  return max(1, min(config.study.num_workers or runs.num_cores(), num_runs))


def _label(config, run):
  study = config.study[run.part] if run.part else config.study
  return study.variants[run.variant].label


def missing_data(config, names):
  """Lists the environments of `names` whose data is not there yet."""
  domain = domains.of(config)
  return [name for name in names
          if not all(map(os.path.isdir, domain.directories(name)))]


def duration(seconds):
  """Writes seconds as hours, minutes and seconds, e.g. '732:05:00'."""
  minutes, seconds = divmod(int(seconds), 60)
  return f'{minutes // 60}:{minutes % 60:02}:{seconds:02}'


def lines(config, planned, finished, missing):
  """Writes the plan as lines of text.

  Args:
    config: of the experiment.
    planned: list of `study.Run`.
    finished: those of them that are.
    missing: environments whose data is still to be collected.
  """
  works, seconds, source = plan(config, planned, finished)
  figure = config.study.get('figure')
  name = f'{runs.figure_name(figure)} of the paper' if figure else config.experiment
  result = [f'{name}, preset {config.preset}: {len(planned)} runs, {len(finished)} finished before']
  width = max(len(work.label) for work in works)
  for work in works:
    done = f', {work.num_finished} finished' if work.num_finished else ''
    time = duration(work.seconds) if work.seconds else '-'
    result.append(f'  {work.label:{width}}  {work.phase:8}  {work.num_runs:3} x '
                  f'{work.num_steps:,} updates{done}: {time}')
  if missing:
    result.append(f'  data to be collected first: {", ".join(missing)} (not in the estimate)')
  unmeasured = floors.missing(config, planned) if config.study.get('floors') else {}
  if unmeasured:
    words = (f'{" and ".join(parts)} of {game}' for game, parts in unmeasured.items())
    result.append(f'  measured before training: {", ".join(words)} (not in the estimate)')
  if seconds:
    result.append(
        f'Estimate: {seconds / 3600:.{_DIGITS}g} hours '
        f'({duration(seconds)}) on {num_workers(config, len(planned))} '
        f'worker(s); rates: {source}.')
  return result
