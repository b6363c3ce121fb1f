"""Lists the ceilings of recordings: which games leave an IDM something to learn.

Reads files of `python -m experiments.ceiling --output=<directory>/<Game>.json`. Their table is put
by `experiments.summarise` between `<!-- ceilings all: <directory> -->` and `<!-- end of table -->`
of a README. The gap is how far the ceiling, the larger of the two, is above the share of the most
frequent action; a game of which a study makes a claim has a gap of at least ENOUGH.
"""

import pathlib

from alpt_jax import schema
from alpt_jax.data import measure_files
from alpt_jax.domains.atari import action_sets

ENOUGH = .25
HEADER = ('game', 'recording', 'steps tried', 'most frequent action', 'expected', 'realised', 'gap',
          f'at least {ENOUGH:g}')
_MEAN = dict.fromkeys(('value', 'low', 'high', 'num_transitions', 'num_episodes'), float)
_FILE = {'kind': str, 'digest': str, 'expected': _MEAN, 'realised': _MEAN,
         'actions': [{'name': str, 'prior': float}]}


def read(directory):
  """Reads the ceilings of a directory.

  Args:
    directory: of files <Game>.json.

  Returns:
    {game: content of its file, see `ceiling`}, by name; {} if there is no directory.

  Raises:
    ValueError: in one line, if a file is damaged, or is not the ceiling of its game.
  """
  found = {}
  for path in sorted(pathlib.Path(directory).glob('*.json')):
    content = measure_files.open_file(path)
    try:
      schema.check(content, _FILE)
      _check_game(path.stem, content)
    except ValueError as error:
      raise ValueError(f'{path}: not the ceiling of a game: {error}. Measure it again: python -m '
                       f'experiments.ceiling --output={path}') from error
    found[path.stem] = content
  return found


def _check_game(game, content):
  action_sets.check_game(game)
  names = [row['name'] for row in content['actions']]
  expected = [action_sets.ACTION_NAMES[a] for a in action_sets.MINIMAL_ACTIONS[game]]
  if content['kind'] != 'ceiling' or names != expected:
    raise ValueError(f'it is a {content["kind"]} with the actions {names}; expected a ceiling with '
                     f'those of {game}, {expected}')


def majority(content):
  """Returns name and share of the most frequent action of a recording."""
  row = max(content['actions'], key=lambda row: row['prior'])
  return row['name'], row['prior']


def gap(content):
  """Computes how far the ceiling is above the share of the most frequent action."""
  return max(content[name]['value'] for name in ('expected', 'realised')) - majority(content)[1]


def rows(directory):
  """Tabulates the ceilings: rows under HEADER, the largest gap first.

  Args:
    directory: of files <Game>.json.

  Returns:
    A list of lists of texts; intervals are over episodes.
  """
  found = read(directory)
  return [[game, f'`{content["digest"]}`', f'{content["expected"]["num_transitions"]:,}',
           '{1:.3f} {0}'.format(*majority(content)),
           *(_text(content[name]) for name in ('expected', 'realised')), f'{gap(content):.3f}',
           'yes' if gap(content) >= ENOUGH else 'no']
          for game, content in sorted(found.items(), key=lambda item: -gap(item[1]))]


def _text(mean):
  return f'{mean["value"]:.3f} [{mean["low"]:.3f}, {mean["high"]:.3f}]'
