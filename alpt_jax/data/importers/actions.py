"""Reads the actions that go with videos and images: `actions.csv` or `actions.jsonl` beside them.

  file,step,action,reward
  first.mp4,0,LEFT,0
  first.mp4,1,3,1

`file` is the name of a video, or of a folder of images. `step` counts the frames that are kept,
from 0. `action` is what was done there: a name, or an index of `actions.stored` of the environment
file (or, without that, of `actions.space`); empty where it is not known. `reward`, a column that
may be missing, is what that action earned. If the environment file has `actions.parts`, there is a
column for each of them in the place of `action`, see `action_cells`:

  file,step,forward,turn,weapon
  first.mp4,0,1,-2.5,pistol
  first.mp4,1,0,,3

All columns have to be there, and no others but those of `actions.left_out`. Steps that are not
listed have no known action. The last frame of a file has no action: one that is listed there is
passed over. A step may be listed again with what was not said of it before, so that lines can be
added at the end. Names that differ only in how Unicode writes a letter (macOS writes an accent as a
character of its own) are the same.

Steps that count from 1, or count the frames of a file that `frame_skip` thins, would put every
action in the wrong place: `Actions.check_steps` and `Actions.check_first_steps` refuse such lists.

A second person's list of the same steps may lie beside it, as `actions-2.csv` or `actions-2.jsonl`.
Nothing is trained on it: how often the two agree bounds how well labels can be judged at all.
"""

import collections
import csv
import difflib
import io
import json
import math
import os
from typing import NamedTuple

import numpy as np

from alpt_jax.data.importers import action_cells
from alpt_jax.files import regular_files
from alpt_jax.measures import floors

FILES = ('actions.csv', 'actions.jsonl')
SECOND_FILES = ('actions-2.csv', 'actions-2.jsonl')
_RARE = 250  # One in so many lists has by chance all its steps at multiples of frame_skip.
_FEW_FILES = 3  # That all begin with step 1 is no chance.
_NEARLY_ALL = .9  # Of the files.
_key, _quoted = action_cells.look, action_cells.quoted


class _Row(NamedTuple):
  """What is said of a step: {column: number} of what is known, the reward included; and where."""
  values: dict
  line: int


class _Form(NamedTuple):
  """Which columns of actions a list has, and which others it may have."""
  columns: tuple[str, ...]
  left_out: tuple[str, ...]

  @property
  def needed(self):
    """The columns that a list must have."""
    return ('file', 'step', *self.columns)

  def check(self, names):
    """Refuses other columns, or keys of an object."""
    found = set(names)
    if {*self.needed} <= found <= {*self.needed, *self.left_out, 'reward'} and (
        len(found) == len(names)):
      return
    hint = ' Put commas between them.' if len(names) == 1 else ''
    raise ValueError(f'columns are {_quoted(list(map(str, names)))}; expected '
                     f'{[*self.needed, "reward"]}, each once, of which the last may be '
                     f'missing.{hint}')


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
    paths = [path for path in paths if os.path.lexists(path)]  # A link may lead to nothing.
    if len(paths) > 1:
      raise ValueError(f'{paths[1]}: beside {names[0]}; expected one of both. Delete the other.')
    self._path = paths[0] if paths else os.path.join(directory, names[0])
    self._environment = environment
    self._columns = action_cells.columns(environment.actions)
    self._form = _Form((*self._columns,), (*map(_key, environment.actions.left_out),))
    self._rows = {}  # {key of a file: {step: _Row}}.
    if paths:
      regular_files.check(self._path)
      self._read()

  @property
  def path(self):
    """Of the file, or where it would be."""
    return self._path

  @property
  def names(self):
    """Names of the files that actions are listed for, in the order of the list."""
    return list(self._rows)

  def known(self):
    """Returns {(file, step): {column: kind}} of all steps of which something is known.

    A kind is the id of an action; of a continuous part it is a bin.
    """
    kinds = {(name, step): {column: of.kind(row.values[column])
                            for column, of in self._columns.items() if column in row.values}
             for name, rows in self._rows.items() for step, row in rows.items()}
    return {place: found for place, found in kinds.items() if found}

  def check_files(self, names):
    """Raises ValueError if actions are listed for a file that is not among `names`, or for two."""
    keys = collections.Counter(map(_key, names))
    unknown = [name for name in self._rows if keys[name] != 1]
    if not unknown:
      return
    name = unknown[0]
    if keys[name] > 1:
      raise ValueError(f'{self._where(name)}: file is {name!r}, and {keys[name]} files beside it '
                       'have names that differ only in how Unicode writes them. Rename all but '
                       'one.')
    near = difflib.get_close_matches(name, names, n=1, cutoff=0)[0]
    raise ValueError(f'{self._where(name)}: file is {_quoted(name)} ({len(unknown)} such names); '
                     f'expected names of what lies beside it, e.g. {near!r}. Correct them.')

  def check_steps(self, frame_skip):
    """Raises ValueError if steps seem to count all frames of a file, of which some are kept.

    Args:
      frame_skip: every how manyth frame is kept.
    """
    num_needed = 1 + math.log(_RARE, frame_skip) if frame_skip > 1 else math.inf
    few = []
    for name, rows in self._rows.items():
      if len(rows) >= num_needed:
        self._check_skips(name, list(rows), frame_skip)
      else:
        few += rows
    if len(few) >= num_needed:
      self._check_skips(self.names[0], few, frame_skip)

  def _check_skips(self, name, steps, frame_skip):
    offset = steps[0] % frame_skip
    if any(step % frame_skip != offset for step in steps):
      return
    steps = sorted(set(steps))
    behind = f', {offset} more' if offset else ''
    raise ValueError(
        f'{self._where(name)}: steps are {", ".join(map(str, steps[:3]))} .. {steps[-1]}, all '
        f'multiples of frame_skip {frame_skip}{behind}: they seem to count the frames of the file; '
        f'expected steps that count the frames that are kept. Divide them by {frame_skip}. If they '
        'are right, say so with a line for a step between them, its action empty.')

  def check_first_steps(self, found):
    """Passes on recordings; refuses lists whose steps seem to count from 1, or go beyond the end.

    A list that counts from 1 names every action one step late, and all of them pass any check of
    the values.

    Args:
      found: iterator of `checks.Recording` of videos or image folders, and of problems.

    Yields:
      The same.

    Raises:
      ValueError: if a file lists steps that it has not, or all steps from 1 to its last frame,
        which has no action; after the last recording, if no file lists step 0, and nearly all list
        their last frame or, where there are a few, begin with step 1.
    """
    rows_of, num_last, num_first = [], 0, 0
    for item in found:
      rows = self._rows.get(_key(item.file.name)) if getattr(item, 'file', None) else None
      if rows:
        last = len(item.observations) - 1
        self._check_last_step(rows, last)
        if len(rows) >= max(last, _FEW_FILES) and 0 not in rows and last in rows:
          raise self._counted_from_one(
              _key(item.file.name), 'but all others are, up to the last frame, which has no action')
        rows_of.append((_key(item.file.name), rows))
        num_last += last in rows
        num_first += min(rows) == 1
      yield item
    if not rows_of or any(0 in rows for _, rows in rows_of):
      return
    nearly_all = _NEARLY_ALL * len(rows_of)
    if num_last >= nearly_all:
      raise self._counted_from_one(
          rows_of[0][0], f'and {num_last} of {len(rows_of)} files list their last frame, which '
          'has no action')
    if len(rows_of) >= _FEW_FILES and num_first >= nearly_all:
      raise self._counted_from_one(
          rows_of[0][0], f'and {num_first} of {len(rows_of)} files begin with step 1')

  def _counted_from_one(self, name, reason):
    return ValueError(
        f'{self._where(name)}: step 0 of {name!r} is not listed, {reason}: are steps '
        'counted from 1? Expected the first frame to be step 0; otherwise every action '
        'is one step late. Subtract 1 from all steps. If they are right, say so with a line for '
        'step 0 of that file, its action empty.')

  def _where(self, name):
    return f'{self._path}, line {min(row.line for row in self._rows[name].values())}'

  def of(self, name, num_transitions):
    """Returns what is known of a file.

    Args:
      name: of the video or the image folder.
      num_transitions: T, one less than frames that are kept.

    Returns:
      actions and is_labelled of a `checks.Recording`, 0 where not known; rewards [T] float32, or
      None if the environment has none.

    Raises:
      ValueError: if what is listed does not fit; without the file's name.
    """
    rows = self._rows.get(_key(name), {})
    self._check_last_step(rows, num_transitions)
    last = rows.get(num_transitions)
    if self._environment.reward and last and last.values.get('reward'):
      raise ValueError(f'{self._path}, line {last.line}, lists reward {last.values["reward"]} at '
                       f'step {num_transitions}, the last frame, which has no action; expected the '
                       'reward at the step of the action that earned it. Move the rewards one step '
                       'back.')
    values, is_known = ({column: np.zeros(num_transitions, dtype) for column in self._columns}
                        for dtype in (np.float64, bool))
    for step, row in rows.items():
      for column in self._columns.keys() & row.values.keys() if step < num_transitions else ():
        values[column][step], is_known[column][step] = row.values[column], True
    actions, is_labelled = action_cells.recorded(self._environment.actions, values, is_known)
    if not self._environment.reward:
      return actions, is_labelled, None
    rewards = [rows[t].values.get('reward') if t in rows else None for t in range(num_transitions)]
    if None in rewards:
      raise ValueError(f'reward of step {rewards.index(None)} is missing; expected one for every '
                       f'step in {self._path}, as the environment declares a reward. Add them, or '
                       'set "reward": null in the environment file.')
    return actions, is_labelled, np.array(rewards, np.float32)

  def _check_last_step(self, rows, num_transitions):
    if rows and max(rows) > num_transitions:
      is_from_one = 0 not in rows and max(rows) == num_transitions + 1
      hint = ' They seem to count from 1.' if is_from_one else ''
      raise ValueError(f'{self._path}, line {rows[max(rows)].line}, lists step {max(rows)}; the '
                       f'file has the steps 0 to {num_transitions - 1}. Correct the steps, or '
                       f'frame_skip.{hint}')

  def _read(self):
    with open(self._path, 'rb') as f:
      content = f.read()
    try:
      text = content.decode('utf-8-sig')  # Spreadsheets write a byte order mark.
    except UnicodeDecodeError as error:
      line = content.count(b'\n', 0, error.start) + 1
      raise ValueError(f'{self._path}, line {line}: not a text file in UTF-8 ({error.reason}). '
                       'Write it again.') from error
    if '\0' in text:
      line = text.count('\n', 0, text.index('\0')) + 1
      raise ValueError(f'{self._path}, line {line}: not a text file in UTF-8: it has bytes of 0, '
                       'as UTF-16 and tables of spreadsheets have. Write it again.')
    file = io.StringIO(text, newline='')
    read = _csv_rows if self._path.endswith('.csv') else _json_rows
    for number, row in read(file, self._form):
      try:
        if isinstance(row, ValueError):
          raise row
        self._add(row, number)
      except ValueError as error:
        raise ValueError(f'{self._path}, line {number}: {error}') from error

  def _add(self, row, line):
    name, step = row['file'], row['step']
    if not isinstance(name, str):
      raise ValueError(f'file is {_quoted(name)}; expected the name of a video or of a folder of '
                       'images.')
    if isinstance(step, str) and step.strip().isdecimal() and len(step) <= action_cells.MOST_DIGITS:
      step = int(step)
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
      raise ValueError(f'step is {_quoted(step)}; expected an integer from 0.')
    steps = self._rows.setdefault(_key(name), {})
    new = {column: of.parse(row[column]) for column, of in self._columns.items()
           if row[column] not in (None, '')}
    if row.get('reward') not in (None, ''):
      new['reward'] = _reward(row['reward'])
    old = steps.get(step, _Row({}, line))
    for what in new:
      if what in old.values:
        raise ValueError(f'{what} of step {step} of {name!r} is listed a second time, after line '
                         f'{old.line}; expected it once.')
    steps[step] = _Row(old.values | new, old.line)


def agreement(directory, environment):
  """Compares the actions that two people have written down for the same steps.

  Args:
    directory: that holds the videos or image folders, and the lists.
    environment: `environment_file.Environment`.

  Returns:
    `floors.Mean` of the steps that both list, as a dict: the share in which they agree (of several
    parts in all that both know, of numbers on the bin), with an interval over files. None if there
    is no second list.

  Raises:
    ValueError: if a list is not as it has to be, or the two have no step in common.
  """
  second = [name for name in SECOND_FILES if os.path.lexists(os.path.join(directory, name))]
  if not second:
    return None
  ours = Actions(directory, environment).known()
  theirs = Actions(directory, environment, SECOND_FILES).known()
  both = sorted(place for place in ours.keys() & theirs.keys()
                if ours[place].keys() & theirs[place].keys())
  if not both:
    raise ValueError(f'{os.path.join(directory, second[0])}: lists no step whose action the first '
                     'list knows; expected labels of the same steps. Correct it, or remove it.')
  _, file = np.unique([name for name, _ in both], return_inverse=True)
  agree = [all(ours[place][column] == theirs[place][column]
               for column in ours[place].keys() & theirs[place].keys()) for place in both]
  return floors.mean(agree, file)._asdict()


def _csv_rows(file, form):
  """Yields the line and {column: field} of each row; an error in the place of the first wrong."""
  reader = csv.reader(file, strict=True)
  columns, line = None, 1
  try:
    for fields in reader:
      if columns is None:
        columns = [*map(_key, fields)]
        form.check(columns)
      elif fields:  # No empty line.
        _check_fields(fields, columns)
        yield line, dict(zip(columns, fields, strict=True))
      line = reader.line_num + 1
    if columns is None:
      raise ValueError(f'is empty; expected {",".join(form.needed)} in the first line.')
  except csv.Error as error:
    yield line, ValueError(f'not a list with commas and whole quotes ({error}). Correct it.')
  except ValueError as error:
    yield line, error


def _check_fields(fields, columns):
  if len(fields) != len(columns):
    raise ValueError(f'has {len(fields)} fields, {_quoted(fields[:5])}; expected {len(columns)}, '
                     'as the first line. Complete it, or copy the list again if it breaks off.')
  for column, field in zip(columns, fields, strict=True):
    if '\n' in field or '\r' in field:
      raise ValueError(f'{column} goes over several lines; expected it on one. Is a quote missing?')


def _json_rows(file, form):
  """Yields the line and the object of each row; an error in the place of a wrong one."""
  for number, line in enumerate(file, 1):
    if line.strip():
      try:
        row = json.loads(line, object_pairs_hook=list)
        if not _is_object(row):
          raise ValueError('no object')
      except (ValueError, RecursionError):
        yield number, ValueError(f'is {line.strip()[:40]!r}; expected a JSON object. Correct it, '
                                 'or copy the list again if it breaks off.')
        return
      try:
        row = [(_key(key), value) for key, value in row]
        form.check([key for key, _ in row])
        yield number, dict(row)
      except ValueError as error:
        yield number, error


def _is_object(value):
  """Whether a value is what `json.loads` makes of an object that is not empty, as pairs."""
  return isinstance(value, list) and bool(value) and isinstance(value[0], tuple)


def _reward(value):
  reward = action_cells.number(value)
  if math.isnan(reward):
    raise ValueError(f'reward is {_quoted(value)}; expected a finite number, or nothing.')
  return reward
