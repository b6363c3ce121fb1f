"""Checks whether the listed actions of a dataset sit at their own transitions.

How is told in `measures.alignment`. No trained model is needed, and a few seconds are enough.

The dict, which `experiments.audit --alignment` writes to alignment.json:

  format, environment
  kind, steps     the verdict on the episodes that do not differ from the rest, see
                  `alignment.Verdict`
  latency         as it was stated, or None
  gains           [{lag, value, low, high}], see `alignment.Gain`
  effects, past, reason, num_episodes, num_transitions
                  see `alignment.Alignment`
  group, group_late
                  episodes that together are clearly later than the rest by so many steps, or
                  earlier; see `alignment.Alignment`
  num_listed      episodes that have listed actions; of these, `num_drawn` were looked at
  files           [{file, episode, late, gain, low, high, num_transitions}] of those that were
                  looked at, see `list_shifts.Difference`; `file` is None where the card names none
  sentences       what to say of it

Of actions of several parts each is checked by itself, as keys and motion may be logged by different
clocks: {format (2), environment, parts, sentences}, where `parts` are such dicts, with `part`, its
name. Continuous parts are checked by their increments: values hardly change in a transition.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from alpt_jax import action_space
from alpt_jax.data import environment_file, episode_files, rlds, source_files
from alpt_jax.measures import alignment, continuous, picture_changes

FORMAT, FORMAT_OF_PARTS = 1, 2
FILE = 'alignment.json'
NUM_EPISODES = 100
_MOST = 8000  # Transitions, of all episodes together.
_LEAST, _MOST_OF_ONE = 50, 400  # Of an episode.
_NUM_SHOWN = 10
_WARNING = 'warning (alignment): '


def check_directory(directory, **settings):
  """Checks an imported dataset.

  Args:
    directory: of the dataset, with its environment.json.
    **settings: of `check`.

  Returns:
    The dict that the module describes.

  Raises:
    FileNotFoundError, ValueError: as `rlds.read_episodes`, and if there is no environment.json.
  """
  environment = environment_file.read(directory)
  spec = environment.spec()
  data = (episode_files.EpisodeFiles([directory], spec) if spec.observation_kind == 'image' else
          rlds.read_episodes(directory, spec))
  return check(data, spec, source_files.read(directory, data.num_episodes), **settings)


def check(data, spec, files=None, *, num_episodes=NUM_EPISODES, latency=None, seed=0):
  """Checks episodes.

  Args:
    data: `episodes.Episodes`.
    spec: the `types.EnvironmentSpec` of them.
    files: a `source_files.SourceFile` for each episode, or None.
    num_episodes: with listed actions that are looked at, at most, drawn at random; 0 for all.
    latency: as in `alignment.verdict`.
    seed: of that, and of `alignment.measure`.

  Returns:
    The dict that the module describes.
  """
  listed = np.flatnonzero(data.num_labelled)
  settings = dict(num_episodes=num_episodes, latency=latency, seed=seed)
  pictures = {}  # The same for all parts.
  found = [_check(data, spec, one, listed, files, pictures, **settings)
           for one in _lists(spec.actions)]
  if found[0]['part'] is None:
    del found[0]['part']
    return found[0]
  return {'format': FORMAT_OF_PARTS, 'environment': spec.name, 'parts': found,
          'sentences': [line for each in found for line in each['sentences']]}


class _List(NamedTuple):
  """What is listed of actions.

  Attributes:
    part: its name; None of all.
    targets: targets(actions, is_known) of an episode -> [L, D] float, [L] bool.
  """
  part: str | None
  targets: Any


@functools.singledispatch
def _lists(space):
  """The `_List`s of an action space, each of which is checked by itself."""
  raise NotImplementedError(space)


@_lists.register
def _(space: action_space.Discrete):
  return [_List(None, lambda actions, is_known: (
      alignment.indicators(actions, space.num), is_known))]


@_lists.register
def _(space: action_space.Parts):
  return [_List(part.name, functools.partial(targets_of_part, part, p))
          for p, part in enumerate(space.parts) if space.own[p] is not None]


def targets_of_part(part, p, actions, is_known):
  """Makes targets of a part for `alignment.Stretch`.

  Args:
    part: from `action_parts`.
    p: its position.
    actions: [L, P] float of an episode.
    is_known: [L, P] bool.

  Returns:
    [L, D] float; of a continuous part, increments. [L] bool, whether they are known.
  """
  values, is_known = actions[:, p], is_known[:, p]
  if part.kind == 'categorical':
    return alignment.indicators(values.astype(np.int64), part.num_classes), is_known
  if part.kind == 'binary':
    return values[:, None].astype(float), is_known
  period = part.high - part.low if part.wraps else None
  increments = continuous.difference(values[1:], values[:-1], period)
  return np.append(0., increments)[:, None], is_known & np.append(False, is_known[:-1])


def _check(data, spec, one, listed, files, pictures, *, num_episodes, latency, seed):
  """Checks a `_List` of the episodes `listed`, which have any."""
  rng = np.random.default_rng(seed)
  drawn = listed
  if num_episodes and len(listed) > num_episodes:
    drawn = np.sort(rng.choice(listed, num_episodes, replace=False))
  most = int(np.clip(_MOST // max(len(drawn), 1), _LEAST, _MOST_OF_ONE))
  stretches = [stretch for episode in drawn.tolist()
               for stretch in _stretches(data, one, episode, most, rng, pictures)]
  found = (alignment.measure(stretches, seed=seed) if stretches else
           alignment.Alignment(reason='no action is listed'))
  kind, steps = alignment.verdict(found, latency)
  result = {
      'format': FORMAT, 'environment': spec.name, 'kind': kind, 'steps': steps, 'latency': latency,
      **found._asdict(), 'gains': [gain._asdict() for gain in found.gains],
      'effects': list(found.effects), 'group': list(found.group), 'num_listed': len(listed),
      'num_drawn': len(drawn),
      'files': [{'file': files[d.episode].name if files else None, **d._asdict()}
                for d in found.differences]}
  del result['differences']
  return result | {'part': one.part, 'sentences': _sentences(result, one.part)}


def _stretches(data, one, episode, most, rng, pictures):
  """Yields `alignment.Stretch` of at most so many listed actions of an episode, in a row."""
  targets, is_known = one.targets(*data.actions_of(episode))
  steps = np.flatnonzero(is_known)
  if not len(steps):
    return
  if len(steps) > most:
    begin = int(rng.integers(len(steps) - most + 1))
    steps = steps[begin:begin + most]
  reach = alignment.REACH
  for part in np.split(steps, np.flatnonzero(np.diff(steps) > 2 * reach) + 1):
    begin, end = max(part[0] - reach, 0), min(part[-1] + reach + 1, len(targets))
    place = (episode, int(begin), int(end))
    if place not in pictures:
      pictures[place] = picture_changes.features(data.frames(episode, begin, end + 1))
    yield alignment.Stretch(
        episode, *pictures[place], targets[begin:end], is_known[begin:end])


def _sentences(result, part):
  """What to say of a result, a list of lines; the first is the verdict."""
  is_wrong = result['kind'] in (alignment.LATE, alignment.EARLY, alignment.DISAGREE)
  name, what = result['environment'] + (f', {part}' if part else ''), f'{part}: ' if part else ''
  lines = [f'{_WARNING if is_wrong else ""}{name}: {_verdict(result)}']
  if result['kind'] == alignment.DISAGREE:
    return lines
  differing = [file for file in result['files'] if file['late']]
  if differing:
    names = [f'{_name(file)} ({_shift(file["late"])})' for file in differing]
    lines.append(f'{_WARNING}{what}{len(names)} of {len(result["files"])} lists differ from the '
                 f'rest: {_listed(names)}')
  more = [_name(file) for file in result['files']
          if file['episode'] in result['group'] and not file['late']]
  if more:
    lines.append(f'{_WARNING}{what}{len(more)} {"more " * bool(differing)}of '
                 f'{len(result["files"])} lists seem {_shift(result["group_late"])} than the rest, '
                 f'which is clear of all {len(result["group"])} together only: {_listed(more)}')
  return lines


def _verdict(result):
  kind, steps = result['kind'], result['steps']
  if kind == alignment.DISAGREE:
    names = [_name(file) for file in result['files'] if file['episode'] in result['group']]
    clear = sum(file['late'] == result['group_late'] for file in result['files'])
    return (f'files disagree: {len(names)} of {len(result["files"])} seem '
            f'{_shift(result["group_late"])} than the others, {_listed(names)}. That is clear of '
            f'all together, and of {clear} each by itself; which of the two are right is not told. '
            'Correct the lists and import again')
  if kind == alignment.CANNOT_TELL:
    return ('whether listed actions sit at their own transitions cannot be told: '
            f'{result["reason"]}')
  gain = next(gain for gain in result['gains'] if gain['lag'] == result['effects'][0])
  where = {0: 'in their own transition'}.get(gain['lag'], _steps(gain['lag']) + (
      ' before them' if gain['lag'] < 0 else ' after them'))
  basis = (f'the change of the picture {where} tells {gain["value"]:.2f} [{gain["low"]:.2f}, '
           f'{gain["high"]:.2f}] of them beyond the past ({result["num_episodes"]} episodes, '
           f'{result["num_transitions"]} transitions)')
  if kind == alignment.ALIGNED:
    return f'listed actions sit at their own transitions: {basis}'
  if kind == alignment.NOT_LATE:
    return ('listed actions are not late; early ones, or pictures that show them late, cannot be '
            f'excluded: {basis}, and none before it')
  counted = (' Steps count from 0: are these counted from 1?'
             if kind == alignment.LATE and steps == 1 else '')
  return (f'listed actions come {_steps(steps)} {kind}: {basis}.{counted} Correct the list and '
          'import again: whatever is trained on it learns the lag, too')


def _name(file):
  return file['file'] or f'episode {file["episode"]}'


def _steps(count):
  return f'{abs(count)} step{"s" * (abs(count) != 1)}'


def _shift(late):
  return f'{_steps(late)} {"later" if late > 0 else "earlier"}'


def _listed(names):
  more = f' .. ({len(names)} in all)' if len(names) > _NUM_SHOWN else ''
  return f'{", ".join(names[:_NUM_SHOWN])}{more}'
