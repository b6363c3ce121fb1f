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
"""

import numpy as np

from alpt_jax.data import environment_file, episode_files, rlds, source_files
from alpt_jax.measures import alignment, picture_changes

FORMAT = 1
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
  rng = np.random.default_rng(seed)
  listed = np.flatnonzero(data.num_labelled)
  drawn = listed
  if num_episodes and len(listed) > num_episodes:
    drawn = np.sort(rng.choice(listed, num_episodes, replace=False))
  most = int(np.clip(_MOST // max(len(drawn), 1), _LEAST, _MOST_OF_ONE))
  stretches = [stretch for episode in drawn.tolist()
               for stretch in _stretches(data, spec.num_actions, episode, most, rng)]
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
  return result | {'sentences': _sentences(result)}


def _stretches(data, num_actions, episode, most, rng):
  """Yields `alignment.Stretch` of at most so many listed actions of an episode, in a row."""
  actions, is_known = data.actions_of(episode)
  steps = np.flatnonzero(is_known)
  if len(steps) > most:
    begin = int(rng.integers(len(steps) - most + 1))
    steps = steps[begin:begin + most]
  reach = alignment.REACH
  for part in np.split(steps, np.flatnonzero(np.diff(steps) > 2 * reach) + 1):
    begin, end = max(part[0] - reach, 0), min(part[-1] + reach + 1, len(actions))
    frames = data.frames(episode, begin, end + 1)
    yield alignment.Stretch(
        episode, *picture_changes.features(frames),
        alignment.indicators(actions[begin:end], num_actions), is_known[begin:end])


def _sentences(result):
  """What to say of a result, a list of lines; the first is the verdict."""
  is_wrong = result['kind'] in (alignment.LATE, alignment.EARLY, alignment.DISAGREE)
  lines = [f'{_WARNING if is_wrong else ""}{result["environment"]}: {_verdict(result)}']
  if result['kind'] == alignment.DISAGREE:
    return lines
  differing = [file for file in result['files'] if file['late']]
  if differing:
    names = [f'{_name(file)} ({_shift(file["late"])})' for file in differing]
    lines.append(f'{_WARNING}{len(names)} of {len(result["files"])} lists differ from the rest: '
                 f'{_listed(names)}')
  more = [_name(file) for file in result['files']
          if file['episode'] in result['group'] and not file['late']]
  if more:
    lines.append(f'{_WARNING}{len(more)} {"more " * bool(differing)}of {len(result["files"])} '
                 f'lists seem {_shift(result["group_late"])} than the rest, which is clear of all '
                 f'{len(result["group"])} together only: {_listed(more)}')
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
