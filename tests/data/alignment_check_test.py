"""Tests of what is said of the listed actions of a dataset."""

import json
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest

from alpt_jax import domains
from alpt_jax.data import alignment_check, environment_file, episode_files, writer
from experiments import film
from experiments.configs import camera as camera_config
from tests import own_runs
from tests.measures import alignment_test


def write(directory, late, *, num_steps=60, named=True, known=None):
  """Writes episodes of a ball that somebody reacts to, whose lists are late by entries of `late`.

  `known`: [num_steps] bool; which steps are listed; all by default.
  """
  environment = own_runs.environment(space=('left', 'stay', 'right'), shape=(24, 24, 1))
  found = []
  for i, steps in enumerate(late):
    frames, actions = alignment_test.play(i, num_steps=num_steps, follows=.3)
    is_known = np.roll(np.ones(num_steps, bool) if known is None else known, steps)
    is_known[:steps] = False
    found.append(writer.steps(list(frames), np.roll(actions, steps), is_labelled=is_known))
  card = {'source_files': [{'name': f'{i}.mp4', 'steps_per_second': 15.} for i in range(len(late))]
          } if named else {}
  writer.write(directory, name='Play', environment=environment, episodes=iter(found), card=card)


class AlignmentCheckTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'Play')

  def test_a_right_list(self):
    write(self.directory, [0] * 12)
    found = alignment_check.check_directory(self.directory)
    self.assertEqual((found['kind'], found['steps'], found['effects']), ('aligned', 0, [0]))
    self.assertEqual((found['num_listed'], found['num_drawn'], found['num_episodes']), (12, 12, 12))
    self.assertEqual([gain['lag'] for gain in found['gains']], [-3, -2, -1, 0, 1, 2, 3])
    gain = found['gains'][3]
    sentence, = found['sentences']
    self.assertEqual(
        sentence,
        'Play: listed actions sit at their own transitions: the change of the picture in their own '
        f'transition tells {gain["value"]:.2f} [{gain["low"]:.2f}, {gain["high"]:.2f}] of them '
        'beyond the past (12 episodes, 624 transitions)')
    self.assertEqual([(file['file'], file['late']) for file in found['files']],
                     [(f'{i}.mp4', 0) for i in range(12)])
    self.assertEqual(json.loads(json.dumps(found)), found)

  def test_a_late_list_and_files_that_differ(self):
    write(self.directory, [1] * 3 + [3] + [1] * 8 + [0] + [1] * 3)
    found = alignment_check.check_directory(self.directory)
    self.assertEqual((found['kind'], found['steps']), ('late', 1))
    verdict, files = found['sentences']
    self.assertStartsWith(verdict, 'warning (alignment): Play: listed actions come 1 step late: '
                                   'the change of the picture 1 step before them tells ')
    self.assertIn('counted from 1?', verdict)
    self.assertEqual(files, 'warning (alignment): 2 of 16 lists differ from the rest: 3.mp4 (2 '
                            'steps later), 12.mp4 (1 step earlier)')

  def test_files_that_disagree(self):
    write(self.directory, [1] * 6 + [0] * 6)
    found = alignment_check.check_directory(self.directory)
    self.assertEqual((found['kind'], found['steps']), ('files disagree', 1))
    is_late = found['group_late'] > 0
    names = ', '.join(f'{i}.mp4' for i in (range(6) if is_late else range(6, 12)))
    sentence, = found['sentences']
    self.assertStartsWith(
        sentence, 'warning (alignment): Play: files disagree: 6 of 12 seem 1 step '
                  f'{"later" if is_late else "earlier"} than the others, {names}. That is clear of')
    self.assertEqual(json.loads(json.dumps(found))['group'], found['group'])

  def test_early_lists_need_a_stated_latency(self):
    write(self.directory, [0] * 10)
    data = episode_files.EpisodeFiles(
        [self.directory], environment_file.read(self.directory).spec())
    early = data.with_actions(lambda _, actions, known: (np.roll(actions, -2), known & (
        np.arange(len(known)) < len(known) - 3)))
    spec = environment_file.read(self.directory).spec()
    found = alignment_check.check(early, spec)
    self.assertEqual((found['kind'], found['steps']), ('not late', 2))
    self.assertIn('not late; early ones', found['sentences'][0])
    self.assertIn('2 steps after them', found['sentences'][0])
    found = alignment_check.check(early, spec, latency=0)
    self.assertEqual((found['kind'], found['steps'], found['latency']), ('early', 2, 0))
    self.assertStartsWith(found['sentences'][0], 'warning (alignment): Play: listed actions come 2 '
                                                 'steps early')

  def test_episodes_are_drawn(self):
    write(self.directory, [0] * 14, num_steps=40, named=False)
    found = alignment_check.check_directory(self.directory, num_episodes=9, seed=1)
    self.assertEqual((found['num_listed'], found['num_drawn'], found['num_episodes']), (14, 9, 9))
    drawn = [file['episode'] for file in found['files']]
    self.assertLen(set(drawn), 9)
    self.assertEqual({file['file'] for file in found['files']}, {None})
    self.assertNotEqual(drawn, [file['episode'] for file in alignment_check.check_directory(
        self.directory, num_episodes=9, seed=2)['files']])
    self.assertEqual(alignment_check.check_directory(self.directory, num_episodes=0)['num_drawn'],
                     14)

  def test_of_a_long_episode_a_part_is_looked_at(self):
    write(self.directory, [0] * 8, num_steps=450)
    found = alignment_check.check_directory(self.directory)
    # 400 listed actions of each, and what lies beside them.
    self.assertLessEqual(found['num_transitions'], 8 * (400 + 2 * 3))
    self.assertGreater(found['num_transitions'], 8 * (400 - 2 * 4))

  def test_pictures_beside_a_short_labelled_part_are_used(self):
    known = np.isin(np.arange(90), np.r_[20:25, 60:65])
    write(self.directory, [1] * 24, num_steps=90, known=known)
    found = alignment_check.check_directory(self.directory)
    self.assertEqual((found['kind'], found['num_transitions']), ('late', 240))

  def test_too_few_labels_are_said(self):
    write(self.directory, [0] * 9, known=np.zeros(60, bool))
    found = alignment_check.check_directory(self.directory)
    self.assertEqual((found['kind'], found['gains'], found['num_listed']), ('cannot tell', [], 0))
    self.assertEqual(found['sentences'], ['Play: whether listed actions sit at their own '
                                          'transitions cannot be told: no action is listed'])

  def test_a_dataset_without_a_description_is_refused(self):
    self.directory.mkdir()
    with self.assertRaisesRegex(FileNotFoundError, 'environment.json: no such file'):
      alignment_check.check_directory(self.directory)


class FilmTest(absltest.TestCase):
  """Clips of a game, listed as they are and with steps that count from 1."""

  def test_steps_counted_from_1_are_found(self):
    environment = film.describe('Breakout')
    clips = []
    for seed in range(14):
      frames, actions = film.film('Breakout', seed, 180, .1)
      clips.append(film.cut([frame[::2, ::2] for frame in frames], actions, 75, seed))
    ids = {name: i for i, name in enumerate(environment.actions.space)}
    for late, kind in ((0, 'aligned'), (1, 'late')):
      with tempfile.TemporaryDirectory() as parent:
        shown = own_runs.environment(space=environment.actions.space, shape=(105, 80, 3))
        writer.write(f'{parent}/Play', name='Play', environment=shown, card={}, episodes=(
            writer.steps(frames, np.roll([ids[a] for a in actions], late),
                         is_labelled=np.arange(len(actions)) >= late)
            for frames, actions in clips))
        found = alignment_check.check_directory(f'{parent}/Play')
      self.assertEqual((found['kind'], found['steps']), (kind, late), found['sentences'])
      self.assertEqual({file['late'] for file in found['files']} - {None}, {0})



class PartsTest(absltest.TestCase):

  def camera(self, **late):
    """A camera's episodes, some of whose parts are listed `late` by so many steps."""
    config = camera_config.get_config('tiny')
    config.collect.num_episodes = 30
    domain = domains.of(config)
    spec = domain.spec('camera-seed0')
    names = spec.actions.part_names

    def delay(_, actions, is_known):
      actions = actions.copy()
      for name, steps in late.items():
        actions[:-1, names.index(name)] = np.roll(actions[:-1, names.index(name)], steps)
      return actions, is_known

    return domain.read('camera-seed0').with_actions(delay), spec

  def test_each_part_has_a_verdict_of_its_own(self):
    data, spec = self.camera(light=1, turn=2)
    found = alignment_check.check(data, spec, latency=0)
    self.assertEqual([(part['part'], part['kind'], part['steps']) for part in found['parts']],
                     [('turn', 'late', 2), ('light', 'late', 1), ('jump', 'aligned', 0)])
    self.assertEqual(found['format'], 2)
    self.assertLen(found['sentences'], 3)
    self.assertStartsWith(
        found['sentences'][0], 'warning (alignment): camera-seed0, turn: listed actions come 2 '
                               'steps late')
    self.assertStartsWith(found['sentences'][2], 'camera-seed0, jump: listed actions sit at their')

  def test_a_part_that_nobody_lists_cannot_be_told(self):
    data, spec = self.camera()

    def hide(_, actions, is_known):
      return actions, is_known & np.array([True, False, True])

    found = alignment_check.check(data.with_actions(hide), spec)
    self.assertEqual([part['kind'] for part in found['parts']],
                     ['aligned', 'cannot tell', 'aligned'])
    self.assertIn('camera-seed0, light: whether listed actions sit at their own transitions cannot '
                  'be told: no action is listed', found['sentences'])

  def test_the_first_of_several_increments_is_not_known(self):
    _, spec = self.camera()
    part = spec.actions.parts[0]
    targets, is_known = alignment_check.targets_of_part(
        part, 0, np.array([[3.], [5.], [4.], [0.], [2.]]), np.array(
            [[1], [1], [1], [0], [1]], bool))
    self.assertEqual(is_known.tolist(), [False, True, True, False, False])
    self.assertEqual(targets[1:3, 0].tolist(), [2, -1])


if __name__ == '__main__':
  absltest.main()
