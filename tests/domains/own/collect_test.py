"""Tests of `python -m experiments.collect import`, from outside."""

import contextlib
import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
from unittest import mock

import cv2
import gymnasium
import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from alpt_jax import action_parts
from alpt_jax.data import environment_file, episode_files, rlds
from alpt_jax.domains.own import collect as import_own
from experiments import collect
from experiments.configs import maze, own
from tests.data import own_data
from tests.data.importers import images_test, minari_test, video_files, videos_test
from tests.measures import alignment_test

ROOT = pathlib.Path(__file__).resolve().parents[3]


class ImportOwnTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self._source = self._parent / 'clips'
    self._source.mkdir()
    self._environment = self._parent / 'own.json'
    environment_file.write(self._environment,
                           own_data.environment(shape=(16, 32, 1), steps_per_second=15.))

  def _command(self, *arguments):
    return [sys.executable, '-m', 'experiments.collect', *arguments]

  def _run(self, *arguments):
    return subprocess.run(self._command(*arguments), cwd=ROOT, text=True, capture_output=True,
                          check=False)

  def _flags(self, **changes):
    settings = {'kind': 'videos', 'from_dir': self._source, 'environment': self._environment,
                'frame_skip': 2} | changes
    return [f'--config.data_dir={self._parent}/data',
            *(f'--config.import_.{key}={value}' for key, value in settings.items())]

  def _config(self, **changes):
    config = own.get_config()
    config.data_dir = f'{self._parent}/data'
    config.import_.update({'from_dir': str(self._source), 'environment': str(self._environment)}
                          | changes)
    return config

  def test_videos_become_a_dataset_that_training_reads(self):
    frames = videos_test.moving(25)
    video_files.write(self._source / 'a.mkv', frames, 30)
    video_files.write(self._source / 'b.mkv', frames[:5], 30)
    video_files.write(self._source / 'c.mkv', frames, 30)
    images_test.write_csv(self._source / 'actions.csv',
                          [('a.mkv', 0, 'jump'), ('a.mkv', 3, 1)])
    (self._source / 'd.wmv').write_bytes(b'')
    (self._source / 'more').mkdir()
    done = self._run('import', '--config=experiments/configs/own.py', *self._flags())
    self.assertEqual(done.returncode, 0, done.stderr)
    directory = self._parent / 'data' / 'Own'
    told, *lines = done.stdout.splitlines()
    self.assertRegex(told, r'the dataset takes about 0\.0\d+ MB; .* are free at ' +
                     re.escape(str(self._parent)))
    self.assertEqual(lines, [
        f'imported Own into {directory}: 1 episodes, 12 transitions, 2 of them with their action, '
        'mean length 12.0',
        'Own has no rewards: the agent imitates what was done (behaviour cloning).',
        f'left out {self._source}/b.mkv: too short: has 2 transitions; expected at least a window '
        'of 5',
        f'left out {self._source}/c.mkv: duplicate: is the same as {self._source}/a.mkv',
        '2 left out (1 duplicate, 1 too short)',
        'passed over, as they are no videos: d.wmv, more (2 in all)'])
    self.assertIn('importing Own', done.stderr)
    environment = environment_file.read(directory)
    data = episode_files.EpisodeFiles([directory], environment.spec(), expected_name='Own')
    cut = data.cut(np.array([0]), np.array([0]), 12)
    np.testing.assert_array_equal(cut.observations[0], frames[::2])
    self.assertEqual(cut.actions[0].tolist(), [3, 0, 0, 1] + [0] * 8)
    self.assertEqual(np.flatnonzero(cut.is_labelled[0]).tolist(), [0, 3])
    card = rlds.read_card(directory)
    self.assertEqual((card['metadata']['kind'], card['metadata']['frame_skip']), ('videos', 2))

  def test_says_which_images_were_scaled(self):
    for name, size in (('a.mkv', 2), ('b.mkv', 1)):
      frames = videos_test.moving(9, seed=size).repeat(size, axis=1).repeat(size, axis=2)
      video_files.write(self._source / name, frames, 30)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
      import_own.main(self._config(kind='videos', frame_skip=2, window=4))
    self.assertEqual([line for line in out.getvalue().splitlines() if 'scaled' in line], [
        'scaled 5 images in 1 of them from 32 x 64 to 16 x 32 pixels (height x width)'])

  def _write_folders(self, num_steps=9):
    for name, seed in (('a', 1), ('b', 2)):
      (self._source / name).mkdir()
      for t, frame in enumerate(videos_test.moving(num_steps + 1, seed=seed)):
        Image.fromarray(frame[..., 0]).save(self._source / name / f'{t}.png')

  def _printed(self, **changes):
    with contextlib.redirect_stdout(io.StringIO()) as out:
      import_own.main(self._config(**{'kind': 'images'} | changes))
    return out.getvalue()

  def test_says_the_first_and_the_last_image_of_folders(self):
    self._write_folders()
    (self._source / 'b' / 'log.txt').touch()
    printed = self._printed()
    for name in 'ab':
      self.assertIn(f'{self._source}/{name}: 10 images, 0.png to 9.png\n', printed)
    self.assertIn(f'{self._source}/b: passed over 1 that are no images: log.txt\n', printed)

  def test_a_dataset_may_lie_beside_the_folders(self):
    self._write_folders()
    for name in 'xy':
      self.assertIn('2 episodes', self._printed(to_dir=str(self._source / name)))

  def test_lists_that_are_late_end_the_import(self):
    self._write_folders()
    path = self._source / 'actions.csv'
    images_test.write_csv(path, [(n, t + 1, 'jump') for n in 'ab' for t in range(9)])
    with self.assertRaisesRegex(ValueError, "line 2: step 0 of 'a' is not listed.*counted from 1"):
      self._printed()
    images_test.write_csv(path, [(n, 4 * t, 'jump') for n in 'ab' for t in range(5)])
    with self.assertRaisesRegex(ValueError, 'line 2: steps are 0, 4, 8 .. 16, all multiples of'):
      self._printed(frame_skip=4)
    self.assertFalse((self._parent / 'data' / 'Own').exists())

  def test_what_does_not_fit_on_the_disk_is_not_begun(self):
    self._write_folders()
    size = sum(path.stat().st_size for path in self._source.glob('*/*.png'))
    for free, fits in ((size // 4, False), (2 * size, True)):
      with mock.patch('shutil.disk_usage', return_value=mock.Mock(free=free)):
        if fits:
          self.assertRegex(self._printed(), r'the dataset takes about .* MB; .* MB are free at')
        else:
          with self.assertRaisesRegex(OSError, 'Own: the dataset takes about .* MB, and .* are f'):
            self._printed()
          self.assertFalse((self._parent / 'data' / 'Own').exists())

  def _grids(self, lengths):
    """Imports grids of int64, mostly empty, with little room; returns what is printed."""
    env = own_data.environment('grid', (20, 20, 3), actions=environment_file.Actions(
        space=('noop', 'up', 'down', 'jump')))
    environment_file.write(self._environment, env)
    rng, played = np.random.default_rng(0), []
    for length in lengths:
      grids = np.zeros((length + 1, 20, 20, 3), np.int64)
      grids[np.arange(length + 1), rng.integers(20, size=length + 1), 3, 1] = 1
      played.append((list(grids), rng.integers(0, 4, length), [0.] * length, True))
    source = minari_test.made(self._parent, gymnasium.spaces.Box(0, 255, (20, 20, 3), np.int64),
                              gymnasium.spaces.Discrete(4), played)
    num_raw = (max(lengths) + 1) * 20 * 20 * 3 * 8
    with mock.patch('shutil.disk_usage', return_value=mock.Mock(free=num_raw // 20)):
      return self._printed(kind='minari', from_dir=source)

  def test_grids_take_what_they_take_when_they_are_packed(self):
    printed = self._grids([50] * 3)
    told = float(re.match('the dataset takes about (.*?) MB', printed)[1]) * 1e6
    self.assertBetween(told / (3 * 51), 20, 80)  # Bytes a step: 9600 before.
    self.assertNotIn('may not fit', printed)

  def test_a_long_first_episode_is_no_reason_to_refuse_short_ones(self):
    printed = self._grids([50] + [6] * 11)
    self.assertRegex(printed, 'the dataset takes about .* may not fit')
    self.assertTrue((self._parent / 'data' / 'Own').exists())

  def test_memory_is_bounded_by_the_largest_episode(self):
    size = 1000 * 1000 * 3
    frames = np.random.default_rng(0).integers(0, 256, (8, 1000, 1000, 3), np.uint8)
    (self._source / 'a').mkdir()
    for t in range(60):
      frames[t % 8, t // 8] = 0
      cv2.imwrite(str(self._source / 'a' / f'{t}.png'), frames[t % 8],
                  [cv2.IMWRITE_PNG_COMPRESSION, 0])
    environment_file.write(self._environment, own_data.environment(shape=(1000, 1000, 3)))
    program = f'''
import re
from alpt_jax.domains.own import collect
from experiments.configs import own
config = own.get_config()
config.data_dir = {str(self._parent / 'data')!r}
config.import_.update(kind='images', from_dir={str(self._source)!r},
                      environment={str(self._environment)!r})
collect.main(config)
# Not getrusage: before a process executes, it counts that of the one that started it.
print(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1])
'''
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, text=True, check=True,
                          capture_output=True)
    most = int(done.stdout.splitlines()[-1]) * 1024
    self.assertLess(most, 2.5 * 60 * size + 300e6)

  @parameterized.parameters(
      ('', ''),
      ('notes.txt', ''),
      ('action.csv', ' action.csv is there: is it meant? Then rename it.'),
      ('Actions.CSV', ' Actions.CSV is there: is it meant? Then rename it.'),
      ('actions.csv', None),
      ('actions.jsonl', None))
  def test_says_that_there_is_no_list_of_actions(self, name, hint):
    video_files.write(self._source / 'a.mkv', videos_test.moving(25), 30)
    if name:
      (self._source / name).write_text('' if name.endswith('l') else 'file,step,action\n')
    self.assertEqual(self._lines_on_no_actions(), [
        f'no actions are known: {self._source}/{name} lists no step with its action.'
        if hint is None else f'no actions are known: {self._source}/actions.csv is not there, nor '
                             f'actions.jsonl.{hint}'])

  def _lines_on_no_actions(self, **changes):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
      import_own.main(self._config(kind='videos', frame_skip=2, **changes))
    return [line for line in out.getvalue().splitlines() if 'no actions' in line]

  def test_says_that_no_listed_action_came_in(self):
    video_files.write(self._source / 'a.mkv', videos_test.moving(25), 30)
    video_files.write(self._source / 'b.mkv', videos_test.moving(5), 30)  # Too short.
    images_test.write_csv(self._source / 'actions.csv', [('a.mkv', 2, ''), ('b.mkv', 0, 'jump')])
    self.assertEqual(self._lines_on_no_actions(), [
        f'no actions are known: {self._source}/actions.csv lists no step of what came in.'])
    images_test.write_csv(self._source / 'actions.csv', [('a.mkv', 0, 'jump')])
    self.assertEqual(self._lines_on_no_actions(to_dir=f'{self._parent}/other'), [])

  @parameterized.parameters('actions.csv', 'actions.jsonl', 'actions-2.csv', 'actions-2.jsonl')
  def test_a_list_that_is_no_file_is_refused(self, name):
    video_files.write(self._source / 'a.mkv', videos_test.moving(25), 30)
    for make, what in ((os.mkfifo, 'a pipe'), (os.mkdir, 'a directory'),
                       (lambda path: path.symlink_to('/nowhere'), 'a link to what cannot be')):
      path = self._source / name
      make(path)
      with self.assertRaisesRegex(ValueError, f'^{path}: is {what}'):
        import_own.main(self._config(kind='videos', frame_skip=2))
      path.rmdir() if path.is_dir() else path.unlink()

  @parameterized.parameters(
      ([('c.mkv', 0, 'jump')], r"line 2: file is 'c.mkv' \(1 such names\); expected names of what"),
      ([('a.mkv', 13, 'jump'), ('a.mkv', 0, 'jump')], 'line 2, lists step 13; the file '
       'has the steps 0 to 11. Correct'),
      ([('a.mkv', t, 'jump') for t in range(1, 13)],
       "line 2: step 0 of 'a.mkv' is not listed, .* are steps counted from 1"),
      ([('a.mkv', t, 'jump') for t in range(0, 28, 2)], 'line 2: steps are 0, 2, 4 .. 26, all'))
  def test_both_lists_are_checked_in_the_same_way(self, rows, message):
    video_files.write(self._source / 'a.mkv', videos_test.moving(25), 30)
    right = [('a.mkv', t, 'jump') for t in range(12)]
    for names in (('actions.csv', 'actions-2.csv'), ('actions-2.csv', 'actions.csv')):
      for name, some in zip(names, (rows, right), strict=True):
        images_test.write_csv(self._source / name, some)
      with self.assertRaisesRegex(ValueError, f'{names[0]}, {message}'):
        import_own.main(self._config(kind='videos', frame_skip=2))
      self.assertFalse((self._parent / 'data').exists())
    for name in names:
      images_test.write_csv(self._source / name, right)
    self.assertEqual(self._lines_on_no_actions(), [])

  @parameterized.parameters(*import_own.KINDS)
  def test_what_would_be_waited_for_is_refused(self, kind):
    os.mkfifo(self._source / 'f.mp4')
    with self.assertRaisesRegex(ValueError, f'^{self._source}/f.mp4: is a pipe; expected a file'):
      import_own.main(self._config(kind=kind))

  @parameterized.parameters('.mp4', '.GIF')
  def test_a_directory_with_the_name_of_a_video_is_none(self, suffix):
    video_files.write(self._source / 'a.mkv', videos_test.moving(25), 30)
    (self._source / f'd{suffix}').mkdir()
    with self.assertRaisesRegex(ValueError, f'^{self._source}/d{suffix}: is a directory'):
      import_own.main(self._config(kind='videos', frame_skip=2, on_problem='skip'))

  def test_nobody_is_told_to_delete_what_is_to_be_imported(self):
    video_files.write(self._source / 'a.mkv', videos_test.moving(25), 30)
    (self._source / 'more').mkdir()
    (self._source / 'more' / 'b.txt').touch()
    (self._parent / 'link').symlink_to('clips')
    for place, message in (('clips', 'is'), ('link', 'is'), ('.', 'holds'),
                           ('clips/more', 'lies in')):
      with self.assertRaisesRegex(ValueError, f'{message} the recordings to import, '
                                  f'{self._source}; expected a new directory. Choose another'):
        import_own.main(self._config(kind='videos', to_dir=str(self._parent / place)))
    changes = {'kind': 'videos', 'frame_skip': 2, 'to_dir': str(self._source / 'out')}
    import_own.main(self._config(**changes))
    with self.assertRaisesRegex(ValueError, 'out: already exists and is not overwritten. Delete'):
      import_own.main(self._config(**changes))

  def test_a_list_that_is_late_is_told(self):
    environment_file.write(self._environment, own_data.environment(
        shape=(24, 24, 1), steps_per_second=15., actions=environment_file.Actions(
            space=('left', 'stay', 'right'))))
    for first, kind in ((0, 'sit at their own transitions'), (1, 'come 1 step late')):
      rows = []
      for i in range(9):
        frames, actions = alignment_test.play(i, num_steps=40, follows=.3)
        video_files.write(self._source / f'{i}.mkv', frames, 15)
        rows += [(f'{i}.mkv', t, '') for t in range(first)]  # Or the list is refused.
        rows += [(f'{i}.mkv', t, int(a)) for t, a in enumerate(actions[:len(actions) - first],
                                                              first)]
      images_test.write_csv(self._source / 'actions.csv', rows)
      out = io.StringIO()
      with contextlib.redirect_stdout(out):
        import_own.main(self._config(kind='videos', to_dir=f'{self._parent}/{first}'))
      verdict = out.getvalue().splitlines()[-1]
      self.assertIn(f'Own: listed actions {kind}', verdict)
      self.assertEqual(verdict.startswith('warning (alignment): '), bool(first))

  def test_actions_of_several_parts_from_a_list_to_episodes(self):
    parts = (action_parts.Binary('jump'), action_parts.Continuous('turn', -9., 9.))
    environment_file.write(self._environment, own_data.environment(
        shape=(16, 32, 1), actions=environment_file.ActionParts(parts=parts)))
    self._write_folders(120)
    rows = [(name, t, t % 2, '' if t % 3 else t / 100) for name in 'ab' for t in range(120)]
    text = 'file,step,jump,turn\n' + ''.join(','.join(map(str, row)) + '\n' for row in rows)
    (self._source / 'actions.csv').write_text(text)
    printed = self._printed()
    self.assertIn('2 episodes, 240 transitions, 240 of them with their action', printed)
    self.assertIn('\nknown by part: jump 240, turn 80\n', printed)
    self.assertNotIn('own transitions', printed)  # Two files are too few to say where actions sit.
    directory = self._parent / 'data' / 'Own'
    data = episode_files.EpisodeFiles([directory], environment_file.read(directory).spec())
    t = np.arange(120)
    for episode in range(2):
      actions, is_labelled = data.actions_of(episode)
      np.testing.assert_array_equal(is_labelled, np.stack([t >= 0, t % 3 == 0], axis=1))
      np.testing.assert_array_equal(
          actions, np.where(is_labelled, np.stack([t % 2, t / 100], axis=1), 0).astype(np.float32))
    (self._source / 'actions.csv').write_text(text.replace('b,7,1,', 'b,7,2,'))
    with self.assertRaisesRegex(ValueError, "actions.csv, line 129: jump is '2'; expected 0 or 1"):
      self._printed(to_dir=str(self._parent / 'other'))
    self.assertFalse((self._parent / 'other').exists())

  def test_a_mistake_ends_in_one_line(self):
    done = self._run('import', '--config.import_.kind=film')
    self.assertEqual((done.returncode, done.stdout), (1, ''))
    self.assertRegex(done.stderr, "^error: import_.kind is 'film'; expected one of .*\n$")

  def test_a_damaged_video_is_named_and_leaves_nothing(self):
    video_files.write(self._source / 'a.mkv', videos_test.moving(25), 30)
    (self._source / 'b.mp4').write_text('no video')
    with self.assertRaisesRegex(ValueError,
                                f'^{self._source}/b.mp4: cannot be opened.*on_problem=skip'):
      import_own.main(self._config(kind='videos', frame_skip=2))
    self.assertFalse((self._parent / 'data').exists())

  def test_a_kill_leaves_nothing_under_the_final_name(self):
    for i in range(400):
      frames = own_data.frames(np.random.default_rng(i), 30, (16, 32, 1))
      video_files.write(self._source / f'{i}.mkv', frames, 30)
    process = subprocess.Popen(self._command('import', *self._flags()), cwd=ROOT, text=True,
                               stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in process.stderr:
      if 'importing Own' in line:  # It is at work.
        process.kill()
        break
    process.communicate()
    self.assertEqual(process.returncode, -signal.SIGKILL)
    names = os.listdir(self._parent / 'data')
    self.assertNotIn('Own', names)
    self.assertTrue(all(name.startswith('Own.unfinished-') for name in names), names)

  def test_a_directory_that_exists_is_refused_before_anything_is_read(self):
    (self._parent / 'data' / 'Own').mkdir(parents=True)
    (self._parent / 'data' / 'Own' / 'mine').touch()
    (self._source / 'a.mp4').write_text('no video')
    with self.assertRaisesRegex(ValueError, 'Own: already exists and is not overwritten'):
      import_own.main(self._config(kind='videos'))

  def test_the_environment_may_lie_beside_the_data(self):
    video_files.write(self._source / 'a.mkv', videos_test.moving(9), 15)
    with self.assertRaisesRegex(FileNotFoundError, 'clips/environment.json: no such file'):
      import_own.main(self._config(kind='videos', environment=''))
    self._environment.rename(self._source / 'environment.json')
    to_dir = f'{self._parent}/elsewhere'
    import_own.main(self._config(kind='videos', environment='', to_dir=to_dir))
    self.assertEqual(rlds.read_card(to_dir)['num_transitions'], 8)

  @parameterized.parameters(({'frame_skip': 0, 'kind': 'videos'}, 'frame_skip is 0'),
                            ({'frame_skip': 4, 'kind': 'rlds'}, 'and 1 for other data'),
                            ({'window': 0, 'kind': 'videos'}, 'window is 0'),
                            ({'from_dir': 'nowhere'}, "from_dir is 'nowhere'; expected a dir"))
  def test_settings(self, changes, message):
    with self.assertRaisesRegex((ValueError, FileNotFoundError), message):
      import_own.main(self._config(**changes))

  def test_collect_does_not_take_it_for_a_maze(self):
    with self.assertRaisesRegex(ValueError, 'expected the word import'):
      collect.main(self._config())
    with self.assertRaisesRegex(ValueError, 'import_ is not in the config'):
      import_own.main(maze.get_config('tiny'))

  def test_every_kind_has_a_reader(self):
    for kind in import_own.KINDS:
      source = import_own._source(self._config(kind=kind).import_)
      self.assertTrue(callable(source.total) and callable(source.recordings), kind)


if __name__ == '__main__':
  absltest.main()
