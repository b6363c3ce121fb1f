"""Collects finished runs of a study into the content of results.json."""

import base64
import datetime
import json
import pathlib
import shlex
import sys

from alpt_jax.domains import study as studies
from alpt_jax.files import versions
from alpt_jax.measures import confusions
from experiments.studies import floors, run_files, runs


def gather(config, planned, failed, kept=None):
  """Returns the content of results.json; see `results_file`.

  Args:
    config: of the experiment.
    planned: list of `study.Run`.
    failed: the runs that failed.
    kept: {run: its run file} of those that are not read from their directories; None for none.
  """
  figure = config.study.get('figure')
  return ({'figure': figure} if figure else {}) | {
      'experiment': config.experiment, 'preset': config.preset,
      'command': 'python -m experiments.reproduce ' + shlex.join(sys.argv[1:]),
      'created': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'config': json.loads(config.to_json()), 'config_digest': runs.config_digest(config),
      'versions': versions.current(),
  } | _Gathering(config, planned, failed).of_runs(planned, kept or {})


class _Gathering:
  """Collects what runs have written, one after the other."""

  def __init__(self, config, planned, failed):
    self._config, self._failed, self._study = config, failed, studies.of(config)
    self._result = self._study.describe(config, planned) | {
        'runs': [], 'rows': [], 'labellings': []}
    self._truths, self._floors, self._is_shown, self._episodes = {}, {}, set(), {}

  def of_runs(self, planned, kept):
    """Returns the fields of results.json that the domain's study and its runs fill."""
    for run in planned:
      if run in kept:
        self._add_kept(run, kept[run])
      else:
        self._add(run)
    if self._study.FLOOR_OF:
      self._result['floors'] = list(self._floors.values())
    if 'episodes' in self._result:  # Moving pictures are large: of each environment, one.
      self._result['episodes'] = [max(episodes, key=lambda e: e['score'])
                                  for episodes in self._episodes.values()]
    return self._result

  def _add_kept(self, run, content):
    """Adds a run of which there is its run file."""
    self._result['rows'] += run_files.rows(content)
    shown = run_files.shown(content)
    floors_of_run = self._floors_of_run(shown.pop('floors'))
    self._result['runs'].append(shown | floors_of_run | self._study.shown(run, {}))
    if content.get('table_floor'):
      self._floors.setdefault(self._setting(content['table_floor']), content['table_floor'])
    self._add_baselines(run, content['confusion'])

  def _add(self, run):
    """Adds a run from its directory."""
    config, own = self._config, runs.run_config(self._config, run)
    truths = self._truths.setdefault(own.get('observation'), runs.Truths(own))
    scores = runs.label_scores(config, run, truths)
    labelling, evaluations = scores['labelling'], runs.evaluations(config, run)
    self._result['rows'] += runs.rows(config, run, scores)
    status = runs.status(config, run, self._failed)
    if status == 'done':
      self._show(run, own, labelling, evaluations)
    problems = runs.damaged(config, run) + scores['problems']
    if labelling:
      problems += self._add_table_floor(run, own, truths)
    self._result['runs'].append(runs.identity(config, run) | {
        'status': status, 'seconds': runs.seconds(config, run) or None,
        'num_steps': runs.num_steps(config, run), 'damaged': problems,
        'versions': versions.of_run(own.workdir)}
        | self._floors_of_run(None if problems else floors.of_run(config, run))
        | self._study.shown(run, evaluations))
    self._add_baselines(run, labelling)

  def _show(self, run, own, labelling, evaluations):
    """Adds labels and an episode of a run that stands for the others of its setting."""
    title = self._study.title(own, self._result['methods'][run.variant]['label'])
    if title is None:
      return
    identity = self._study.identity(run, own)
    setting = tuple(identity[name] for name in self._study.SHOWN_OF)
    about = {'run': run.name, 'method': run.variant, 'target': own.target, 'seed': own.seed}
    if labelling and ('labels', setting) not in self._is_shown:
      self._is_shown.add(('labels', setting))
      self._result['labellings'].append(
          about | {'label': title, 'num_labels': own.num_labels} | labelling)
    if 'episodes' in self._result and ('episode', setting) not in self._is_shown:
      episode = _episode(own, evaluations.get(own.num_steps, {}).get('episode'))
      if episode:
        self._is_shown.add(('episode', setting))
        self._episodes.setdefault((own.target, own.num_labels), []).append(about | episode)

  def _add_table_floor(self, run, own, truths):
    """Adds the floors of a run's labels, which all methods share; returns a list of problems."""
    setting = self._setting(own)
    if own.train_dt or not setting or setting in self._floors:
      return []
    try:
      self._floors[setting] = runs.table_floor(self._config, run, truths)
    except (OSError, ValueError) as error:
      return [f'floors of its labels are not known: {error}']
    return []

  def _setting(self, about):
    return tuple(about[name] for name in self._study.FLOOR_OF)

  def _floors_of_run(self, found):
    """Floors and ceiling of a run, in studies that ask for them."""
    return {'floors': found} if self._config.study.get('floors') else {}

  def _add_baselines(self, run, labelling):
    """Of the first run with labels; which actions are hidden hardly differs between runs."""
    about = self._result[self._study.ENVIRONMENTS][run.changes['target']]
    if labelling and about.get('chance_accuracy', 0) is None:
      found = confusions.baselines(labelling['confusion'])
      about |= {name: getattr(found, name) for name in ('majority_accuracy', 'chance_accuracy')}


def _episode(own, about):
  """Pictures of an episode and what it is of; None if there are none."""
  path = about and pathlib.Path(own.workdir, 'eval', about['file'])
  if not path or not path.exists():
    return None
  return {key: about[key] for key in ('score', 'num_steps', 'every')} | {
      'gif': base64.b64encode(path.read_bytes()).decode()}
