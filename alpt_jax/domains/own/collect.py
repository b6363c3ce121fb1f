"""Imports a user's own data into a canonical RLDS dataset; `experiments.collect import`.

What the data is, an environment file says (alpt_jax/data/environment_file.py). The dataset appears
under its name when all of it is checked and written; what was left out, and why, is on its card.
"""

import difflib
import importlib
import os
from importlib import metadata

from alpt_jax import progress as progress_
from alpt_jax.data import alignment_check, environment_file, rlds, writer
from alpt_jax.data.importers import actions, checksums
from alpt_jax.data.importers import checks as import_episodes
from alpt_jax.files import atomic_files, disk_space, regular_files
from alpt_jax.measures import alignment

KINDS = ('rlds', 'minari', 'dopamine', 'videos', 'images')
_WITH_FRAMES = ('videos', 'images')  # Other data comes a step at a time.
_BY_EPISODES = ('rlds', 'minari')  # Their `total` counts episodes, not steps.
_PACKAGES = ('array-record', 'av', 'numpy', 'opencv-python-headless', 'pillow',
             'tensorflow-datasets')
_NUM_SHOWN = 10


def main(config):
  """Imports one dataset.

  Args:
    config: with `data_dir` and `import_`; see configs/own.py.

  Returns:
    None. Prints what was imported, and what was left out.

  Raises:
    FileNotFoundError, ValueError: if a setting or the data is not as it has to be.
  """
  if 'import_' not in config:
    raise ValueError('import_ is not in the config; expected one like experiments/configs/own.py.')
  settings = config.import_
  source = _source(settings)
  regular_files.check_tree(settings.from_dir)
  environment = environment_file.read(settings.environment or settings.from_dir)
  to_dir = settings.to_dir or os.path.join(config.data_dir, environment.name)
  atomic_files.check_new(  # Before anything is read.
      to_dir, {'the recordings to import': settings.from_dir},
      may_lie_in=os.path.exists(os.path.join(to_dir, rlds.CARD)))
  checks = import_episodes.Settings(**{key: settings[key]
                                       for key in ('window', 'max_blank', 'on_problem')})
  arguments, agreement, lists = {}, None, []
  if settings.kind in _WITH_FRAMES:
    arguments['frame_skip'] = settings.frame_skip
    files = source.files(settings.from_dir)
    for names in (actions.FILES, actions.SECOND_FILES):
      lists.append(actions.Actions(settings.from_dir, environment, names))
      lists[-1].check_files(files)
      lists[-1].check_steps(settings.frame_skip)
    agreement = actions.agreement(settings.from_dir, environment)
  total = max(source.total(settings.from_dir), 1)
  with progress_.Progress(total, label=f'importing {environment.name}') as progress:
    found = source.recordings(settings.from_dir, environment, progress=progress.update, **arguments)
    for listed in lists:
      found = listed.check_first_steps(found)
    found = _check_disk(found, to_dir, environment, settings, total)
    card = import_episodes.write_dataset(
        found, to_dir, environment, checks, metadata={
            'kind': settings.kind, 'from_dir': settings.from_dir, **arguments,
            **({'agreement': agreement} if agreement else {}),
            'versions': {name: metadata.version(name) for name in _PACKAGES}})
  _print(to_dir, environment, card)
  if agreement:
    print(f'two people agree on {agreement["value"]:.3f} of {agreement["num_transitions"]} actions '
          f'in {agreement["num_episodes"]} files: labels can be judged no better than that')
  if settings.kind in _WITH_FRAMES:
    _print_no_actions(settings, lists[0], card)
    _print_others(settings, source.files(settings.from_dir))
  if card['num_labelled'] >= alignment.FEWEST_TRANSITIONS:
    found = alignment_check.check_directory(to_dir)
    for each in found.get('parts', [found]):
      if each['gains']:  # Else there are too few labels to say anything.
        print('\n'.join(each['sentences']))


def _check_disk(found, directory, environment, settings, total):
  """Passes on recordings; says by the first of them what all take, before it is written.

  Others may be larger or smaller, so only one that itself does not fit is refused.
  """
  is_checked = False
  for item in found:
    if not is_checked and isinstance(item, import_episodes.Recording) and len(item.observations):
      size, num_observations = _record_bytes(item, environment), len(item.observations)
      num_bytes = size * total if settings.kind in _BY_EPISODES else (
          size * total / settings.frame_skip / num_observations)
      # Files of a source may not say how much is in them.
      print(disk_space.check(directory, max(num_bytes, size), what='the dataset', certain=size),
            flush=True)
      is_checked = True
    yield item


def _record_bytes(recording, environment):
  """What an episode takes when it is written, about."""
  num_bytes = recording.num_bytes(environment)
  # Images are packed already, and are not to be in memory a second time; too much is left out.
  if environment.observation.kind == 'image' or num_bytes > writer.MAX_EPISODE_BYTES:
    return num_bytes
  return len(writer.serialize(writer.features(environment), recording.steps(environment)))


def _print_no_actions(settings, listed, card):
  """Says that no list of actions was found, as its name may be wrong, or that it lists none."""
  names = os.listdir(settings.from_dir)
  if set(actions.FILES) & set(names):
    if not card['num_labelled']:
      what = 'of what came in' if listed.known() else 'with its action'
      print(f'no actions are known: {listed.path} lists no step {what}.')
    return
  expected, other = actions.FILES
  similar = {name.lower(): name for name in sorted(names) if name not in actions.SECOND_FILES}
  near = difflib.get_close_matches(expected, similar, n=1, cutoff=.8)
  hint = f' {similar[near[0]]} is there: is it meant? Then rename it.' if near else ''
  print(f'no actions are known: {os.path.join(settings.from_dir, expected)} is not there, nor '
        f'{other}.{hint}')


def _print_others(settings, read):
  """Says what lies there and was not looked at: telephones write videos of many kinds."""
  known = {*read, *actions.FILES, *actions.SECOND_FILES, environment_file.FILE,
           *checksums.lists(settings.from_dir)}
  others = sorted(name for name in os.listdir(settings.from_dir)
                  if name not in known and not name.startswith('.'))
  if others:
    print(f'passed over, as they are no {settings.kind}: {", ".join(others[:_NUM_SHOWN])}'
          f'{", .." if len(others) > _NUM_SHOWN else ""} ({len(others)} in all)')


def _source(settings):
  """Checks the settings; returns the module that reads the source."""
  if settings.kind not in KINDS:
    raise ValueError(f'import_.kind is {settings.kind!r}; expected one of {KINDS}.')
  if not os.path.isdir(settings.from_dir):
    raise FileNotFoundError(f'import_.from_dir is {settings.from_dir!r}; expected a directory with '
                            f'{settings.kind} data. Correct the path.')
  if settings.frame_skip < 1 or settings.frame_skip > 1 and settings.kind not in _WITH_FRAMES:
    raise ValueError(f'import_.frame_skip is {settings.frame_skip}; expected at least 1 for '
                     f'{" and ".join(_WITH_FRAMES)}, and 1 for other data.')
  return importlib.import_module(f'alpt_jax.data.importers.{settings.kind}')


def _print(directory, environment, card):
  num_transitions = card['num_transitions']
  print(f"imported {environment.name} into {directory}: {card['num_episodes']} episodes, "
        f"{num_transitions} transitions, {card['num_labelled']} of them with their action, mean "
        f"length {card['mean_length']:.1f}")
  if by_part := card.get('num_labelled_by_part'):
    print(f"known by part: {', '.join(f'{part} {number}' for part, number in by_part.items())}")
  for line in environment.notes(environment.name):
    print(line)
  for scaled in card['scaled']:
    sizes = [' x '.join(map(str, scaled[key])) for key in ('from', 'to')]
    print(f"scaled {scaled['num_images']} images in {scaled['num_episodes']} of them from "
          f'{sizes[0]} to {sizes[1]} pixels (height x width)')
  for name, note in card['notes'][:_NUM_SHOWN]:
    print(f'{name}: {note}')
  if len(card['notes']) > _NUM_SHOWN:
    print(f"and {len(card['notes']) - _NUM_SHOWN} more such lines, in {rlds.CARD}")
  left_out = [import_episodes.LeftOut(**episode) for episode in card['left_out_episodes']]
  for episode in left_out[:_NUM_SHOWN]:
    print(f'left out {episode.name}: {episode.kind}: {episode.reason}')
  more = '' if len(left_out) <= _NUM_SHOWN else f'; all are listed in {rlds.CARD}'
  print(f'{import_episodes.describe(left_out)}{more}', flush=True)
