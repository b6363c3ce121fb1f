"""Lists the trials of a tuning, all of them, best first, from the run files that they left.

python -m experiments.tuning --results=experiments/results/tuning

Reads <results>/<arm>/runs/*.json of `experiments.reproduce --config=experiments/configs/tuning.py`
and writes <results>/tuning.json. For each arm, its trials with what each changed; the label
accuracy of every game and seed after the last update, beside that of a linear map of the change
fitted to the same labels (a floor that needs no network); and the mean. A trial that lacks a game
or failed is listed, without a mean, after the others.
"""

import pathlib
import statistics

from alpt_jax import cli
from alpt_jax.files import atomic_files, paths
from experiments.configs import tuning as config_of_tuning
from experiments.studies import run_files

_RESULTS = paths.define('results', 'experiments/results/tuning', 'Directory of the arms.')


# What differs between the runs of one trial.
_OF_RUNS = ('target', 'seed', 'label_seed', 'init_from')


def trials(files):
  """Lists the trials of one arm.

  Args:
    files: contents of run files, see `run_files`.

  Returns:
    A list of {'trial', 'settings' ({key: value} of those in which trials differ), 'accuracy' and
    'linear_floor' ({game: {seed: share of the hidden actions}}; the floor where it was measured),
    'mean' of the games or None, 'failed' (names of runs without an accuracy)}; best first, those
    without a mean last.
  """
  finetuned = [file for file in files if file['identity']['phase'] != 'pretrain']
  games = set(config_of_tuning.GAMES)
  keys = sorted({key for file in finetuned for key in file['settings']} - {*_OF_RUNS})
  differing = [key for key in keys
               if len({repr(file['settings'].get(key)) for file in finetuned}) > 1]
  found = {}
  for file in finetuned:
    about = file['identity']
    trial = found.setdefault(about['method'], {
        'trial': about['method'],
        'settings': {key: file['settings'].get(key) for key in differing},
        'accuracy': {}, 'linear_floor': {}, 'mean': None, 'failed': []})
    curve = file['curves'].get('label_accuracy') if file['status'] == 'done' else None
    accuracy = curve[-1] if curve else None
    if accuracy is None:
      trial['failed'].append(file['run'])
      continue
    of_labels = (file.get('floors') or {}).get('labels') or {}
    linear = (of_labels.get('floors') or {}).get('linear')
    for key, value in (('accuracy', accuracy), ('linear_floor', linear and linear['value'])):
      if value is not None:
        trial[key].setdefault(about['target'], {})[str(about['seed'])] = value
  for trial in found.values():
    if set(trial['accuracy']) == games and not trial['failed']:
      of_games = [statistics.fmean(of.values()) for of in trial['accuracy'].values()]
      trial['mean'] = round(statistics.fmean(of_games), 6)
  return sorted(found.values(), key=lambda t: (t['mean'] is None, -(t['mean'] or 0), t['trial']))


def table(found):
  """Makes a table of the trials of one arm.

  Args:
    found: from `trials`.

  Returns:
    Header; rows of texts. Accuracies are means over seeds.
  """
  games = sorted({game for trial in found for game in trial['accuracy']})
  floors = {game: _mean_of(next((trial['linear_floor'][game] for trial in found
                                 if game in trial['linear_floor']), None)) for game in games}
  rows = [[trial['trial'], *(_mean_of(trial['accuracy'].get(game)) for game in games),
           _number(trial['mean']), ', '.join(trial['failed'])] for trial in found]
  if any(text != '–' for text in floors.values()):
    rows.append(['Linear map of the change (floor)', *floors.values(), '', ''])
  return ('trial', *games, 'mean', 'failed'), rows


def _mean_of(by_seed):
  return _number(statistics.fmean(by_seed.values()) if by_seed else None)


def _number(x):
  return '–' if x is None else f'{x:.3f}'


def main():
  """Writes tuning.json and prints the trials."""
  directory = pathlib.Path(_RESULTS.value)
  arms = sorted(path.parent for path in directory.glob('*/runs'))
  if not arms:
    raise ValueError(f'--results: {directory} has no <arm>/runs; expected the run files of '
                     'python -m experiments.reproduce --config=experiments/configs/tuning.py.')
  content = {arm.name: trials([run_files.read(path)
                               for path in sorted(arm.glob('runs/*.json'))]) for arm in arms}
  atomic_files.write_json(directory / 'tuning.json', content)
  for arm, of_arm in content.items():
    for trial in of_arm:
      mean = 'no mean' if trial['mean'] is None else f'{trial["mean"]:.3f}'
      games = ', '.join(f'{game} {statistics.fmean(of.values()):.3f}'
                        for game, of in sorted(trial['accuracy'].items()))
      failed = f'; failed: {", ".join(trial["failed"])}' if trial['failed'] else ''
      print(f'{arm}: {trial["trial"]}: {mean} ({games}{failed})')
  print(f'Wrote {directory / "tuning.json"}.')


if __name__ == '__main__':
  cli.run_without_config(main)
