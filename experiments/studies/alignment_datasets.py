"""Data sets of clips whose lists of actions are right, or late, as `alignment` judges them."""

import time

import numpy as np

from alpt_jax.measures import alignment, picture_changes

CASES = ('right', 'late', 'tenth')
_FEWEST_CLIPS, _MOST_CLIPS, _FEWEST_OF_TENTH = 10, 40, 20
_NUM_STEPS = 100  # Of a clip, or those of a shorter episode.
_FEWEST_STEPS = 2 * alignment.REACH
FIELDS = ('environment', 'case', 'seed', 'clips', 'late', 'kind', 'steps', 'late_files',
          'found_files', 'untold_files', 'wrong_files', 'seconds')
SUMS = ('environment', 'case', 'datasets', 'found', 'aligned', 'not_late', 'cannot_tell', 'wrong',
        'late_files', 'found_files', 'untold_files', 'other_files', 'wrong_files',
        'datasets_with_wrong_files', 'seconds')


def clips_of(data, num_clips, rng):
  """Cuts clips out of episodes, each of another one while there are enough.

  Args:
    data: `episodes.Episodes`, with all actions.
    num_clips: how many.
    rng: `np.random.Generator`.

  Returns:
    A list of changes [T, F], movement [T, P] and actions [T].
  """
  usable = np.flatnonzero(data.num_transitions >= _FEWEST_STEPS)
  chosen = rng.choice(usable, num_clips, replace=num_clips > len(usable))
  found = []
  for episode in chosen.tolist():
    length = int(data.num_transitions[episode])
    begin = int(rng.integers(max(length - _NUM_STEPS, 0) + 1))
    end = min(begin + _NUM_STEPS, length)
    frames = data.frames(episode, begin, end + 1)
    actions, _ = data.actions_of(episode)
    found.append((*picture_changes.features(frames), actions[begin:end]))
  return found


def listed(clips, late, num_actions):
  """Lists the actions of clips, each late by so many transitions: a list of `Stretch`."""
  stretches = []
  for i, ((changes, movement, actions), steps) in enumerate(zip(clips, late, strict=True)):
    is_known = np.arange(len(actions)) >= steps
    stretches.append(alignment.Stretch(
        i, changes, movement, alignment.indicators(np.roll(actions, steps), num_actions), is_known))
  return stretches


def dataset(name, data, num_actions, seed):
  """Draws a data set and judges it in all cases: a list of rows, dicts with FIELDS.

  Args:
    name: of the environment.
    data: `episodes.Episodes` of it.
    num_actions: of it.
    seed: of all draws.
  """
  rng = np.random.default_rng(seed)
  num, num_of_tenth = (int(rng.integers(fewest, _MOST_CLIPS + 1))
                       for fewest in (_FEWEST_CLIPS, _FEWEST_OF_TENTH))
  clips = clips_of(data, max(num, num_of_tenth), rng)
  tenth = np.zeros(num_of_tenth, int)
  tenth[rng.choice(num_of_tenth, num_of_tenth // 10, replace=False)] = rng.integers(
      1, 3, num_of_tenth // 10)
  rows = []
  for case, late in (('right', np.zeros(num, int)), ('late', np.full(num, rng.integers(1, 3))),
                     ('tenth', tenth)):
    begin = time.monotonic()
    found = alignment.measure(listed(clips[:len(late)], late, num_actions), seed=seed)
    seconds = time.monotonic() - begin
    rest = 0 if case == 'tenth' else int(late[0])
    said = np.array([found.group_late if d.episode in found.group and not d.late else
                     np.nan if d.late is None else d.late for d in found.differences])
    if not len(said):
      said = np.full(len(late), np.nan)
    told, is_late = ~np.isnan(said), late != rest
    kind, steps = alignment.verdict(found)
    rows.append(dict(zip(FIELDS, (
        name, case, seed, len(late), rest, kind, steps, int(is_late.sum()),
        int(np.sum(is_late & (said == late - rest))), int(np.sum(~told)),
        int(np.sum(told & (said != late - rest) & (said != 0))), round(seconds, 2)), strict=True)))
  return rows


def summed(rows):
  """Sums rows of data sets over seeds: a list of dicts with SUMS."""
  result = []
  for name, case in dict.fromkeys((row['environment'], row['case']) for row in rows):
    own = [row for row in rows if (row['environment'], row['case']) == (name, case)]
    kinds = [row['kind'] for row in own]
    found = [row['kind'] == alignment.LATE and row['steps'] == row['late'] for row in own]
    files = {key: sum(row[key] for row in own)
             for key in ('late_files', 'found_files', 'untold_files', 'wrong_files')}
    result.append(dict(zip(SUMS, (
        name, case, len(own), sum(found), *(kinds.count(kind) for kind in (
            alignment.ALIGNED, alignment.NOT_LATE, alignment.CANNOT_TELL)),
        kinds.count(alignment.LATE) - sum(found), files['late_files'], files['found_files'],
        files['untold_files'], sum(row['clips'] for row in own) - files['late_files'],
        files['wrong_files'], sum(row['wrong_files'] > 0 for row in own),
        round(sum(row['seconds'] for row in own) / len(own), 2)), strict=True)))
  return result
