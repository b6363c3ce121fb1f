"""Compares the labels that a run wrote, labels/step_*.npz, with the truth.

Training does not see the actions that are hidden from it, and writes its labels down instead. Who
has all actions compares them here: by number, by kind of mistake, and as pictures of windows.
"""

import base64
import pathlib
import re
import zipfile
import zlib

import cv2
import numpy as np

from alpt_jax.labelling import clips
from alpt_jax.measures import confusions, label_floors
from alpt_jax.training import label_windows

_NUM_EXAMPLES = {'wrong': 6, 'unsure': 3, 'drawn': 3}
_SMALLEST_FRAME = 84  # Pixels; smaller ones are shown enlarged.
_PLANE_COLOURS = np.array([  # Of a grid, drawn over each other on white: e.g. walls, goal, agent.
    [74, 82, 92], [0, 158, 115], [213, 94, 0], [0, 114, 178], [204, 121, 167]], np.uint8)
_WHITE = np.uint8(255)


def files(run_directory, last_step=None):
  """Returns the label files of a run, by step; files beyond its last step are left out.

  Args:
    run_directory: with labels/step_*.npz, as `train` writes them.
    last_step: of the files; None for all.

  Returns:
    A list of `pathlib.Path`.
  """
  found = sorted(pathlib.Path(run_directory).glob('labels/step_*.npz'))
  return [path for path in found if last_step is None or step_of(path) <= last_step]


def refused(paths, truth):
  """Lists label files that are damaged or of other data.

  Args:
    paths: from `files`.
    truth: as in `score_labels`.

  Returns:
    {path: why}.
  """
  found = {}
  for path in paths:
    try:
      _read_labels(path, truth)
    except ValueError as error:
      found[path] = str(error)
  return found


def score_labels(paths, truth, is_right=np.equal):
  """Compares the labels that a run's IDM gave with the truth, apart from training.

  Args:
    paths: from `files`.
    truth: `episodes.Episodes` of the target, or anything else with its `cut`, with all actions.
    is_right: function of labels and true actions, as the run's action space has it.

  Returns:
    {step: share of the hidden actions that were labelled right}; without steps if the truth of
    none of them is known. Of actions of several parts, all hidden ones have to be right.

  Raises:
    ValueError: if one of them is `refused`.
  """
  accuracy, before, true_actions, has_truth = {}, None, None, None
  for path in paths:
    labels = _read_labels(path, truth)
    # A run labels the same windows again and again; their truth is read once.
    if before is None or not all(map(np.array_equal, labels[:2], before[:2])):
      true_actions, has_truth = _true_actions(labels, truth)
    before, is_hidden = labels, _is_hidden(labels, has_truth)
    if is_hidden.any():
      wrong = is_hidden & ~is_right(labels.actions, true_actions)
      is_hidden, is_wrong = map(_of_any_part, (is_hidden, wrong))
      accuracy[step_of(path)] = float(np.mean(~is_wrong[is_hidden]))
  return accuracy


def _is_hidden(labels, has_truth):
  """Which labels count: [W, T] or [W, T, P] bool."""
  is_counted = labels.is_counted.reshape(*labels.is_counted.shape, *[1] * (has_truth.ndim - 2))
  return is_counted & ~labels.was_labelled & has_truth


def _of_any_part(x):
  """[W, T] or [W, T, P] bool -> [W, T]."""
  return x.reshape(*x.shape[:2], -1).any(axis=2)


def count_hidden(path, truth):
  """Counts what `score_labels` scores of a file: transitions, and the windows that they are in.

  Args:
    path: one of `files`.
    truth: as in `score_labels`.

  Returns:
    Number of transitions, number of windows.

  Raises:
    ValueError: if the file is `refused`.
  """
  labels = _read_labels(path, truth)
  is_used = _of_any_part(_is_hidden(labels, _true_actions(labels, truth)[1]))
  return int(is_used.sum()), int(is_used.any(axis=1).sum())


def hidden_labels(path, truth):
  """Returns the labels of hidden transitions whose truth is known.

  Args:
    path: one of `files`.
    truth: as in `score_labels`.

  Returns:
    Episode, timestep, label, true action; [M] int each. Of actions of several parts, label and true
    action are [M, P] float32, and a fifth one, [M, P] bool, says which parts count.

  Raises:
    ValueError: if the file is `refused`.
  """
  labels = _read_labels(path, truth)
  true, has_truth = _true_actions(labels, truth)
  is_hidden = _is_hidden(labels, has_truth)
  is_used = _of_any_part(is_hidden)
  window = labels.actions.shape[1]
  episode = np.repeat(labels.episode[:, None], window, axis=1)
  timestep = labels.start[:, None] + np.arange(window)
  parts = (is_hidden,) if is_hidden.ndim > 2 else ()
  return tuple(x[is_used] for x in (episode, timestep, labels.actions, true, *parts))


def _read_labels(path, truth):
  """Returns the `label_windows.Labels` of a file; ValueError if they are of other data."""
  try:
    with np.load(path, allow_pickle=False) as saved:
      fields = dict(saved)
    unsaid = np.full(fields['actions'].shape, np.nan, np.float16)
    labels = label_windows.Labels(**{'confidence': unsaid} | fields)  # Runs did not write it once.
  except (OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, zlib.error,
          zipfile.BadZipFile) as error:  # What damage of any byte leads to.
    raise ValueError(f'{path}: cannot be read ({error}). Delete the run directory and train again: '
                     'only then this step is labelled again.') from error
  window = labels.actions.shape[1]
  is_known = labels.episode < truth.num_episodes
  lengths = np.where(is_known, truth.num_transitions[np.where(is_known, labels.episode, 0)], 0)
  is_there = labels.start[:, None] + np.arange(window) < lengths[:, None]
  if not is_there[labels.is_counted].all():
    raise ValueError(f'{path}: labels transitions that the data does not have. Was the data '
                     'recorded again? Train again, too.')
  return labels


def _true_actions(labels, truth):
  """[W, T] int32, and whether they are known; some windows at a time, for each holds an episode."""
  window, parts = labels.actions.shape[1], []
  for rows in np.array_split(np.arange(len(labels.episode)), len(labels.episode) // 256 + 1):
    cut = truth.cut(labels.episode[rows], labels.start[rows], window)
    parts.append((cut.actions, cut.is_labelled))
  return [np.concatenate(field) for field in zip(*parts, strict=True)]


def describe(path, truth, spec):
  """Describes labels of a run's IDM, for a report.

  Args:
    path: one of `files`.
    truth: as in `score_labels`.
    spec: the `types.EnvironmentSpec` of the target.

  Returns:
    A dict that JSON can hold: `step`; `num_hidden`, of the hidden actions that were labelled;
    `actions`, the names of the legal ones; `confusion`, [A][A] counts, a row for each true action
    and a column for each label; `by_episode`, `episodes` [E] and their `counts` [E][A][A], packed
    by `confusions.pack`; `examples`, windows with pictures: those with most wrong labels,
    those of which the IDM was least sure, and some drawn at random. An example is of `kind`
    'wrong', 'unsure' or 'drawn' and has `episode`, `start`, `strip` (T + 1 frames beside each
    other, PNG in base64), `frame_width`, `frame_height`, and by step `true` and `predicted`
    (indices into `actions`), `confidence` (None if the run did not write
    it), `was_labelled` and `return_to_go` (in clipped reward). There are no examples of
    observations that are no pictures.
  """
  labels = _read_labels(path, truth)
  true, predicted, has_truth = _indices(labels, truth, spec)
  is_hidden = labels.is_counted & ~labels.was_labelled & has_truth
  num_actions = len(spec.legal_actions)
  episode = np.broadcast_to(labels.episode[:, None], true.shape)[is_hidden]
  ids, counts = confusions.by_episode(episode, true[is_hidden], predicted[is_hidden], num_actions)
  examples = []
  if spec.observation_kind != 'vector':
    for kind, window in choose_examples(labels, is_hidden, true != predicted):
      examples.append({'kind': kind} | example(window, labels, truth, true, predicted, spec))
  return {'step': step_of(path), 'num_hidden': int(is_hidden.sum()),
          'actions': [spec.actions.names[a] for a in spec.legal_actions],
          'confusion': counts.sum(axis=0).tolist(),
          'by_episode': {'episodes': ids.tolist(), 'counts': confusions.pack(counts)},
          'examples': examples}


def _indices(labels, truth, spec):
  """True and predicted actions, as indices into the legal ones; which are known: [W, T] each."""
  index = np.full(spec.num_actions, -1)
  index[list(spec.legal_actions)] = np.arange(len(spec.legal_actions))
  true, has_truth = _true_actions(labels, truth)
  return index[true], index[labels.actions], has_truth


def table_floor(path, truth, choice, spec):
  """Scores labels that need no network: a table of the change from o[t] to o[t + 1].

  It is fitted to the labels that the IDM had, and judged on the transitions that the IDM is judged
  on; so is the action that is most frequent among these labels.

  Args:
    path: one of `files`.
    truth: as in `score_labels`.
    choice: `labels.Choice`; the windows that the IDM had labels of.
    spec: the `types.EnvironmentSpec` of the target; its observations are vectors or grids.

  Returns:
    A dict of numbers: `table`, its accuracy, with the ends of its 95 % interval over episodes
    `table_low` and `table_high` (None for one episode); `majority`; `num_entries` of the table;
    `num_hidden`, transitions that were judged.

  Raises:
    ValueError: if the labels are of other data.
  """
  episode, timestep, _, _ = hidden_labels(path, truth)
  fitted = label_floors.fit(truth, spec, choice.windows, choice.window)
  found = label_floors.judge(fitted, truth, episode, timestep)
  table = found['table']
  return {'table': table['value'], 'table_low': table['low'], 'table_high': table['high'],
          'majority': found['majority']['value'], 'num_entries': len(fitted.table.entries),
          'num_hidden': table['num_transitions']}


def worth_labelling(path, truth, spec, num_clips):
  """Picks windows whose labels would help most, by `clips.choose`.

  Args:
    path: one of `files`.
    truth: as in `score_labels`.
    spec: the `types.EnvironmentSpec` of the target.
    num_clips: how many windows.

  Returns:
    A list, the most useful first, of what `describe` calls an example, without `kind` and with
    `uncertainty`, one minus the mean confidence. Empty if the run did not write how sure it was, or
    for observations that are no pictures.
  """
  labels = _read_labels(path, truth)
  if np.isnan(labels.confidence).any() or spec.observation_kind == 'vector':
    return []
  window = labels.actions.shape[1]
  rows = np.flatnonzero(labels.start + window <= truth.num_transitions[labels.episode])
  episode, start, was_labelled = (field[rows] for field in (
      labels.episode, labels.start, labels.was_labelled))
  unsure = clips.uncertainty(labels.confidence[rows], ~was_labelled)
  looks = np.concatenate([
      clips.looks(truth.cut(episode[some], start[some], window).observations)
      for some in np.array_split(np.arange(len(rows)), len(rows) // 256 + 1)])
  chosen = clips.choose(unsure, clips.balanced(looks), num_clips, episode=episode, start=start,
                        window=window, is_labelled=was_labelled.any(axis=1))
  true, predicted, _ = _indices(labels, truth, spec)
  return [{'uncertainty': round(float(unsure[i]), 4)}
          | example(rows[i], labels, truth, true, predicted, spec) for i in chosen]


def choose_examples(labels, is_hidden, is_wrong):
  """Chooses windows to look at: the most wrong, the least sure, and some drawn at random.

  Args:
    labels: `label_windows.Labels` of W windows.
    is_hidden: [W, T] bool; which labels count.
    is_wrong: [W, T] bool.

  Returns:
    (kind, window) pairs; kind is 'wrong', 'unsure' or 'drawn', and no window is there twice. Only
    windows whose every label counts; those that are 'wrong' have a wrong label.
  """
  whole = np.flatnonzero(is_hidden.all(axis=1))
  num_wrong = (is_wrong & is_hidden).sum(axis=1)[whole]
  confidence = np.nan_to_num(labels.confidence.astype(np.float32), nan=1.).min(axis=1)[whole]
  drawn = np.random.default_rng(0).permutation(len(whole))
  orders = {'wrong': np.lexsort((confidence, -num_wrong)), 'unsure': np.argsort(confidence),
            'drawn': drawn}
  chosen = {}
  for kind, order in orders.items():
    fresh = [int(whole[i]) for i in order if int(whole[i]) not in chosen
             and (kind != 'wrong' or num_wrong[i])]
    chosen |= dict.fromkeys(fresh[:_NUM_EXAMPLES[kind]], kind)
  return [(kind, window) for window, kind in chosen.items()]


def example(window, labels, truth, true, predicted, spec):
  """Draws a window.

  Args:
    window: index into `labels`.
    labels: `label_windows.Labels` of W windows.
    truth: `episodes.Episodes`, or anything else with its `cut`.
    true, predicted: [W, T] int; indices into the legal actions.
    spec: the `types.EnvironmentSpec`; its observations are pictures.

  Returns:
    What `describe` calls an example, without `kind`.
  """
  episode, start = labels.episode[window], labels.start[window]
  cut = truth.cut(np.array([episode]), np.array([start]), labels.actions.shape[1])
  frames = [_frame(observation, spec) for observation in cut.observations[0]]
  is_encoded, data = cv2.imencode('.png', np.concatenate(frames, axis=1)[..., ::-1])
  assert is_encoded
  confidence = labels.confidence[window].astype(float)
  return {
      'episode': int(episode), 'start': int(start),
      'strip': base64.b64encode(data.tobytes()).decode(),
      'frame_width': frames[0].shape[1], 'frame_height': frames[0].shape[0],
      'true': true[window].tolist(), 'predicted': predicted[window].tolist(),
      'confidence': (None if np.isnan(confidence).any() else confidence.round(4).tolist()),
      'was_labelled': labels.was_labelled[window].tolist(),
      'return_to_go': cut.returns_to_go[0].astype(float).tolist()}


def _frame(observation, spec):
  """Draws an observation, an image or 0/1 planes: [height, width, 1 or 3] uint8, RGB."""
  image = observation
  if spec.observation_kind == 'grid':
    image = np.full((*observation.shape[:2], 3), _WHITE)
    for plane, colour in zip(np.moveaxis(observation, -1, 0), _PLANE_COLOURS, strict=False):
      image[plane > 0] = colour
  times = -(-_SMALLEST_FRAME // min(image.shape[:2]))
  return image.repeat(times, axis=0).repeat(times, axis=1)


def step_of(path):
  """Reads the number of updates from the name of a label file, one of `files`."""
  return int(re.search(r'\d+', path.stem).group())
