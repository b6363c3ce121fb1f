"""Reads the actions that go with videos and images: `actions.csv` or `actions.jsonl` beside them.

  file,step,action,reward
  first.mp4,0,LEFT,0
  first.mp4,1,3,1

`file` is the name of a video, or of a folder of images. `step` counts the frames that are kept,
from 0. `action` is what was done there: a name, or an index of `actions.stored` of the environment
file (or, without that, of `actions.space`); empty where it is not known. `reward`, a column that
may be missing, is what that action earned. Steps that are not listed have no known action. The last
frame of a file has no action: one that is listed there is passed over. A step may be listed again
with what was not said of it before, so that lines can be added at the end.

A second person's list of the same steps may lie beside it, as `actions-2.csv` or `actions-2.jsonl`.
Nothing is trained on it: how often the two agree bounds how well labels can be judged at all.
"""

import csv
import json
import math
import os

import numpy as np

from alpt_jax.measures import floors

FILES = ('actions.csv', 'actions.jsonl')
SECOND_FILES = ('actions-2.csv', 'actions-2.jsonl')
_COLUMNS = ('file', 'step', 'action', 'reward')


class Actions:
  """What is known of the actions in a directory of videos or image folders."""

  def __init__(self, directory, environment, names=FILES):
    """Reads the file, if there is one.

    Args:
      directory: that holds the videos or image folders.
      environment: `environment_file.Environment`.
      names: of the file, one of which may be there.

    Raises:
      ValueError: naming file and line, if something there is not as it has to be.
    """
    paths = [os.path.join(directory, name) for name in names]
    paths = [path for path in paths if os.path.exists(path)]
    if len(paths) > 1:
      raise ValueError(f'{paths[1]}: beside {names[0]}; expected one of both. Delete the other.')
    self._path = paths[0] if paths else os.path.join(directory, names[0])
    self._environment = environment
    self._rows = {}  # {file: {step: (id or None, reward or None)}}.
    self._lines = {}  # {file: the first line that names it}.
    if paths:
      self._read()

  @property
  def names(self):
    """Names of the files that actions are listed for, in the order of the list."""
    return list(self._rows)

  def known(self):
    """Returns {(file, step): id} of all steps whose action is known."""
    return {(name, step): action for name, rows in self._rows.items()
            for step, (action, _) in rows.items() if action is not None}

  def check_files(self, names):
    """Raises ValueError if actions are listed for a file that is not among `names`."""
    unknown = [name for name in self._rows if name not in names]
    if unknown:
      raise ValueError(f'{self._path}, line {self._lines[unknown[0]]}: file is {unknown[0]!r} '
                       f'({len(unknown)} such names); expected names of what lies beside it, e.g. '
                       f'{sorted(names)[0]!r}. Correct them.')

  def of(self, name, num_transitions):
    """Returns what is known of a file.

    Args:
      name: of the video or the image folder.
      num_transitions: T, one less than frames that are kept.

    Returns:
      actions [T] int64, ids, 0 where not known; is_labelled [T] bool; rewards [T] float32, or None
      if the environment has none.

    Raises:
      ValueError: if what is listed does not fit; without the file's name.
    """
    rows = self._rows.get(name, {})
    if rows and max(rows) > num_transitions:
      raise ValueError(f'{self._path} lists step {max(rows)}; the file has the steps 0 to '
                       f'{num_transitions - 1}. Correct the steps, or frame_skip.')
    last_reward = rows.get(num_transitions, (None, None))[1]
    if self._environment.reward and last_reward:
      raise ValueError(f'{self._path} lists reward {last_reward} at step {num_transitions}, the '
                       'last frame, which has no action; expected the reward at the step of the '
                       'action that earned it. Move the rewards one step back.')
    actions, is_labelled = np.zeros(num_transitions, np.int64), np.zeros(num_transitions, bool)
    for step, (action, _) in rows.items():
      if step < num_transitions and action is not None:
        actions[step], is_labelled[step] = action, True
    if not self._environment.reward:
      return actions, is_labelled, None
    rewards = [rows.get(t, (None, None))[1] for t in range(num_transitions)]
    if None in rewards:
      raise ValueError(f'reward of step {rewards.index(None)} is missing; expected one for every '
                       f'step in {self._path}, as the environment declares a reward. Add them, or '
                       'set "reward": null in the environment file.')
    return actions, is_labelled, np.array(rewards, np.float32)

  def _read(self):
    # Of spreadsheets, too, which write a byte order mark.
    with open(self._path, encoding='utf-8-sig', newline='') as f:
      try:
        for number, row in (_csv_rows if self._path.endswith('.csv') else _json_rows)(f):
          try:
            self._add(row)
            self._lines.setdefault(row['file'], number)
          except ValueError as error:
            raise ValueError(f'{self._path}, line {number}: {error}') from error
      except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{self._path}: not a text file in UTF-8 ({error}). Write it again.'
                         ) from error

  def _add(self, row):
    if not _are_columns(row):
      raise ValueError(f'columns are {list(map(str, row))}; expected {list(_COLUMNS)}, of which '
                       'the last may be missing.')
    name, step = row['file'], row['step']
    if not isinstance(name, str):
      raise ValueError(f'file is {name!r}; expected the name of a video or of a folder of images.')
    if isinstance(step, str) and step.strip().isdecimal():
      step = int(step)
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
      raise ValueError(f'step is {step!r}; expected an integer from 0.')
    steps = self._rows.setdefault(name, {})
    before = steps.get(step, (None, None))
    said = self._action(row['action']), _reward(row.get('reward'))
    for what, old, new in zip(('action', 'reward'), before, said, strict=True):
      if old is not None and new is not None:
        raise ValueError(f'{what} of step {step} of {name!r} is listed a second time; expected it '
                         'once.')
    steps[step] = tuple(old if new is None else new
                        for old, new in zip(before, said, strict=True))

  def _action(self, value):
    """Returns the id of an action, None if it is not known."""
    actions = self._environment.actions
    if value is None or value == '':
      return None
    name = value
    if name not in actions.space:
      indices = actions.stored or actions.space
      if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
      if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(indices):
        name = indices[value]
    if name not in actions.legal:
      raise ValueError(f'action is {value!r}; expected one of actions.legal, '
                       f'{list(actions.legal)}, or an index. Correct it, or the environment file.')
    return actions.space.index(name)


def agreement(directory, environment):
  """Compares the actions that two people have written down for the same steps.

  Args:
    directory: that holds the videos or image folders, and the lists.
    environment: `environment_file.Environment`.

  Returns:
    `floors.Mean` of the steps that both list, as a dict: the share in which they agree, with an
    interval over files. None if there is no second list.

  Raises:
    ValueError: if a list is not as it has to be, or the two have no step in common.
  """
  second = [name for name in SECOND_FILES if os.path.exists(os.path.join(directory, name))]
  if not second:
    return None
  ours = Actions(directory, environment).known()
  theirs = Actions(directory, environment, SECOND_FILES).known()
  both = sorted(ours.keys() & theirs.keys())
  if not both:
    raise ValueError(f'{os.path.join(directory, second[0])}: lists no step whose action the first '
                     'list knows; expected labels of the same steps. Correct it, or remove it.')
  _, file = np.unique([name for name, _ in both], return_inverse=True)
  return floors.mean([ours[step] == theirs[step] for step in both], file)._asdict()


def _are_columns(names):
  return set(_COLUMNS[:3]) <= set(names) <= set(_COLUMNS)


def _csv_rows(file):
  reader = csv.DictReader(file)
  for row in reader:  # What is wrong with all rows is wrong in the first line.
    yield reader.line_num if _are_columns(reader.fieldnames) else 1, row


def _json_rows(file):
  for number, line in enumerate(file, 1):
    if line.strip():
      try:
        row = json.loads(line)
      except ValueError:
        row = None
      yield number, row if isinstance(row, dict) else {line.strip()[:40]: None}


def _reward(value):
  if value is None or value == '':
    return None
  try:
    reward = float(value)
  except (TypeError, ValueError, OverflowError):
    reward = math.nan
  if not math.isfinite(reward):
    raise ValueError(f'reward is {value!r}; expected a finite number, or nothing.')
  return reward
