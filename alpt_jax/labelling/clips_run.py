"""Selects the clips of a dataset that are worth labelling next, by the IDM of a run.

Episodes are cut into clips of one length, side by side, and `clips.choose` picks some of those
that the IDM is unsure of and that look different from what has labels and from each other. That
their labels help more than those of other clips has not been tested.

Clips are named as the person knows them: by the file that was imported, and when in it. What is
found is a dict that JSON can hold:

  run, step       directory of the run; updates after which its IDM was saved
  dataset, dataset_digest, environment   what was looked at
  known           whose word on known actions counted, see `label_dataset.label_run`
  length          transitions of a clip
  frame_skip      every how manyth frame of a file is a step; None if the data does not say
  num_labelled    clips with a known action, which are no candidates; of several parts, all must be
                  known of one step
  num_unlabelled  clips without one
  parts           names of the parts of actions; not there where actions have one
  num_candidates  the most unsure of these, 10,000 at most: what was picked from
  versions        {package: version}
  times           what `trained_idm.check_time` says
  clips           list, the most useful first, each with
    rank            1, 2, ..
    file            name of the video or the folder of images; None if the data does not say
    episode         its number in the dataset, from 0
    first_step, last_step   of the episode, both inclusive; each has an action, to be labelled
    first_second, last_second   when in the video that begins, and when what it led to is seen; None
                    where a file has no times
    uncertainty     one minus the mean confidence of the IDM; of several parts, the entropies of
                    those that are not known, in nats, summed, then averaged over steps: what the
                    label of a step would tell if parts told nothing of each other. Numbers tell
                    more than keys, as they are predicted over more values
"""

import contextlib
import csv
import functools
import io
import os
from typing import NamedTuple

import numpy as np

from alpt_jax import action_space
from alpt_jax import progress as progress_
from alpt_jax.data import action_fields, label_fields, rlds, source_files
from alpt_jax.files import atomic_files, versions
from alpt_jax.labelling import clips, label_dataset

CLIPS, ACTIONS = 'clips.json', 'actions.csv'
_MOST_CANDIDATES = 10_000  # The most unsure clips without a known action.
_MOST_LABELLED = 5000  # Of those with one, to be far from: every 2nd, 4th, .. one of more.
_EPISODES_AT_A_TIME = 50
_WINDOWS_AT_A_TIME = 16  # Whose frames are in memory.


class _Windows(NamedTuple):
  """W clips of a dataset.

  Attributes:
    episode: [W] int64.
    start: [W] int64; first transition.
    is_labelled: [W] bool; some action is known.
    number: [W] int64; of a clip with a known action, how many of them come before it.
    unsure: [W] float64; see `clips.uncertainty`.
    looks: [W, 2, F] float32; see `clips.looks`.
  """
  episode: np.ndarray
  start: np.ndarray
  is_labelled: np.ndarray
  number: np.ndarray
  unsure: np.ndarray
  looks: np.ndarray


def clips_run(trained, *, dataset='', environment='', known='', num_clips=20, length=0,
              allow_other_speed=False, progress=True):
  """Picks clips of a dataset.

  Args:
    trained: `trained_idm.TrainedIdm`.
    dataset, environment, known: as of `label_dataset.label_run`. What is known in other datasets,
      such as that of the run, is not looked at.
    num_clips: how many at most, at least 1.
    length: transitions of a clip; 0 for the window of the IDM.
    allow_other_speed: as of `label_dataset.label_run`; `times` says so.
    progress: whether to write progress to standard error.

  Returns:
    The dict that the module describes.

  Raises:
    FileNotFoundError, ValueError: for what cannot be labelled, or if nothing is left to label.
  """
  if num_clips < 1:
    raise ValueError(f'num_clips is {num_clips}; expected at least 1.')
  if length < 0:
    raise ValueError(f'length is {length}; expected at least 1, or 0 for the window of the IDM.')
  length = length or trained.config.window
  name, spec, source, times = label_dataset.open_dataset(
      trained, dataset, environment, allow_other_speed=allow_other_speed)
  known, digest = label_dataset.which_known(known, source), rlds.dataset_digest(source.directory)
  is_known_fn = (label_dataset.known_by_run(trained, name, source.directory, digest)
                 if known == 'run' else lambda _, fields: action_fields.each(
                     lambda known: known[:-1], rlds.labelled(fields)))
  chunks = source.chunks(_EPISODES_AT_A_TIME)
  num_episodes = sum(chunk.end - chunk.begin for chunk in chunks)
  files = source_files.read(source.directory, num_episodes)
  with contextlib.ExitStack() as stack:
    progress_fn = stack.enter_context(progress_.Progress(
        num_episodes, label=f'looking at {spec.name}', unit='episodes')).update if progress else (
            lambda done: None)
    found, num_labelled, num_unlabelled = _look(
        source, chunks, functools.partial(trained.predict_episodes, spec=spec), is_known_fn, spec,
        length, progress_fn)
  if found is None:
    raise ValueError(f'length is {length}; no episode of {source.directory} has so many '
                     'transitions. Choose a smaller one.')
  if not num_unlabelled:
    raise ValueError(f'{source.directory}: no {length} transitions in a row are without a known '
                     'action; expected some, to be labelled. Choose another --dataset.')
  chosen = clips.choose(
      found.unsure, clips.balanced(found.looks), num_clips, episode=found.episode,
      start=found.start, window=length, is_labelled=found.is_labelled)
  return {
      'run': str(trained.directory), 'step': trained.step, 'dataset': str(source.directory),
      'dataset_digest': digest, 'environment': spec.name, 'known': known,
      'length': length, 'frame_skip': _frame_skip(source.directory),
      'num_labelled': num_labelled, 'num_unlabelled': num_unlabelled,
      'num_candidates': int(np.sum(~found.is_labelled)),
      'versions': versions.current(), 'times': times, **_parts(source.spec.actions),
      'clips': [_clip(rank, found, i, files, length)
                for rank, i in enumerate(chosen.tolist(), 1)]}


def _parts(space):
  """The entry `parts` of a dataset's action space, if it has several."""
  return {'parts': list(space.part_names)} if space.shape else {}


def _look(source, chunks, predict, is_known_fn, spec, length, progress_fn):
  """Returns the `_Windows` to choose from, and how many have a known action and how many not."""
  found, num_labelled, num_unlabelled, num_episodes = None, 0, 0, 0
  for chunk in chunks:
    episodes, parts = source.read(chunk), [] if found is None else [found]
    for said in predict(episodes, range(len(episodes.num_transitions))):
      is_known = is_known_fn(chunk.first + said.episode, episodes.fields[said.episode])
      if len(said.probabilities) >= length:
        part = _windows(said, episodes, is_known, spec, length)
        parts.append(part._replace(episode=part.episode + chunk.first,
                                   number=part.number + num_labelled))
        num_labelled += int(part.is_labelled.sum())
        num_unlabelled += int((~part.is_labelled).sum())
      num_episodes += 1
      progress_fn(num_episodes)
    if parts:
      found = _kept(_Windows(*map(np.concatenate, zip(*parts, strict=True))), num_labelled)
  return found, num_labelled, num_unlabelled


def _windows(said, episodes, is_known, spec, length):
  """The `_Windows` of an episode; what is left at its end is in none."""
  doubt, is_hidden = _doubt(spec.actions, said.probabilities, is_known)
  starts = np.arange(0, len(is_hidden) - length + 1, length)
  rows = starts[:, None] + np.arange(length)
  looks = [_looks(episodes, said.episode, starts[i:i + _WINDOWS_AT_A_TIME], spec, length)
           for i in range(0, len(starts), _WINDOWS_AT_A_TIME)]
  is_labelled = ~is_hidden[rows].all(axis=1)
  return _Windows(
      np.full(len(starts), said.episode), starts, is_labelled, np.cumsum(is_labelled) - is_labelled,
      clips.mean_of_hidden(doubt[rows], is_hidden[rows]), np.concatenate(looks))


@functools.singledispatch
def _doubt(space, probabilities, is_known):
  """How unsure an IDM is of what is not known of the steps, and which of them are not: [L], [L].

  Args:
    space: as the IDM predicts it.
    probabilities: [L, A] of `space`.
    is_known: [L] bool, or {part: [L] bool}.
  """
  raise NotImplementedError(type(space))


@_doubt.register
def _(space: action_space.Discrete, probabilities, is_known):
  del space
  return 1. - probabilities.max(axis=1).astype(np.float64), ~is_known


@_doubt.register
def _(space: action_space.Parts, probabilities, is_known):
  doubt, is_hidden = np.zeros(len(probabilities)), np.zeros(len(probabilities), bool)
  for own, segment in zip(space.own, space.segments, strict=True):
    if own:
      entropy = label_fields.entropy(probabilities[:, segment])
      doubt += np.where(is_known[own.name], 0, entropy)
      is_hidden |= ~is_known[own.name]
  return doubt, is_hidden


def _looks(episodes, number, starts, spec, length):
  """`clips.looks` of some windows of an episode: [w, 2, F]; values of vectors are its channels."""
  shape = spec.observation_shape
  shape = (1, 1, *shape) if spec.observation_kind == 'vector' else shape
  frames = np.zeros((len(starts), length + 1, *shape), np.float32)
  for i, start in enumerate(starts.tolist()):
    frames[i] = episodes.frames(number, start, start + length + 1).reshape(frames.shape[1:])
  return clips.looks(frames)


def _kept(found, num_labelled):
  """Some of those with a known action, and the most unsure of the others; of equals, the first."""
  stride = 1
  while num_labelled > stride * _MOST_LABELLED:
    stride *= 2
  others = np.flatnonzero(~found.is_labelled)
  others = others[np.argsort(-found.unsure[others], kind='stable')][:_MOST_CANDIDATES]
  labelled = np.flatnonzero(found.is_labelled & (found.number % stride == 0))
  kept = np.sort(np.concatenate([labelled, others]))
  return _Windows(*(field[kept] for field in found))


def _frame_skip(directory):
  """`frame_skip`, see the module."""
  return ((rlds.read_card(directory) or {}).get('metadata') or {}).get('frame_skip')


def _clip(rank, found, i, files, length):
  """An entry of `clips`."""
  episode, start = int(found.episode[i]), int(found.start[i])
  file = files[episode] if files else source_files.SourceFile(None)
  rate = file.steps_per_second
  return {
      'rank': rank, 'file': file.name, 'episode': episode, 'first_step': start,
      'last_step': start + length - 1,
      'first_second': rate and round(start / rate, 3),
      'last_second': rate and round((start + length) / rate, 3),
      'uncertainty': round(float(found.unsure[i]), 4)}


def table(found):
  """Formats the clips as a table of text.

  Args:
    found: what `clips_run` returns.

  Returns:
    A list of lines.
  """
  rows = [('', 'file', 'episode', 'steps', 'seconds', 'uncertainty')]
  rows += [(str(clip['rank']), clip['file'] or '-', str(clip['episode']),
            f'{clip["first_step"]} to {clip["last_step"]}', _seconds(clip),
            f'{clip["uncertainty"]:.2f}') for clip in found['clips']]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = ['  '.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
           for row in rows]
  if (found['frame_skip'] or 1) > 1:
    lines.append(f'Step n is frame {found["frame_skip"]} n of its file, counted from 0.')
  return lines


def _seconds(clip):
  if clip['first_second'] is None:
    return '-'
  return f'{clip["first_second"]:.2f} to {clip["last_second"]:.2f}'


def has_files(found):
  """Returns whether the clips' files are known, so that their actions can be imported."""
  return all(clip['file'] is not None for clip in found['clips'])


def actions_csv(found):
  """Writes the steps of the clips as a list of actions to fill in, see `importers.actions`.

  An action that stays empty is one that is not known: who fills in some imports those.

  Args:
    found: what `clips_run` returns, and `has_files`.

  Returns:
    Text in CSV.
  """
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  columns = found.get('parts', ['action'])
  writer.writerow(['file', 'step', *columns])
  for clip in found['clips']:
    writer.writerows((clip['file'], step, *[''] * len(columns))
                     for step in range(clip['first_step'], clip['last_step'] + 1))
  return text.getvalue()


def write(found, directory):
  """Writes `CLIPS`, and `ACTIONS` where files are known.

  Args:
    found: what `clips_run` returns.
    directory: where to; must not exist, or be empty.

  Returns:
    Paths of what was written.

  Raises:
    ValueError: if there is something already.
  """
  written = [os.path.join(directory, CLIPS)]
  with atomic_files.new_directory(directory) as staging:
    content = os.path.join(staging, 'content')
    atomic_files.write_json(os.path.join(content, CLIPS), found)
    if has_files(found):
      atomic_files.write(os.path.join(content, ACTIONS), actions_csv(found).encode())
      written.append(os.path.join(directory, ACTIONS))
  return written
