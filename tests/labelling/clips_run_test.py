"""Clips to label next: which are picked from a dataset, how they are named, what is written."""

import contextlib
import csv
import dataclasses
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import domains
from alpt_jax.data import environment_file, labels, rlds, writer
from alpt_jax.domains.own import collect
from alpt_jax.labelling import clips, clips_run, label_dataset, trained_idm, votes
from alpt_jax.training import train
from tests import own_runs
from tests.data import own_data
from tests.data.importers import images_test, video_files, videos_test
from tests.labelling.saying import saying

ROOT = pathlib.Path(__file__).resolve().parents[2]
LENGTHS, KNOWN = (20, 33, 25, 9, 40, 52), (1., 0., .4, 0., .5, 0.)
FILES = [{'name': f'{letter}.mp4', 'steps_per_second': 15.} for letter in 'abcdef']


def confidence_of(frame):
  """Depends on the frame alone: how far the dot is to the right."""
  return .25 + .7 * (int(frame.argmax()) % own_runs.SIZE) / own_runs.SIZE


def say_by_frame(spec, stride):
  """As sure of an action as `confidence_of` the frame that it is chosen in."""
  del stride

  def predict(episodes, numbers):
    for n in numbers:
      length = int(episodes.num_transitions[n])
      sure = np.array([confidence_of(frame) for frame in episodes.frames(n, 0, length)])
      rest = (1 - sure) / (spec.num_actions - 1)
      yield votes.Votes(n, np.stack([sure, rest, rest, rest], axis=1), np.ones(length, int))

  return predict


class ClipsRunTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    own_runs.write(cls.root / 'Play', LENGTHS, known=KNOWN)
    config = own_runs.config(cls.root, cls.root / 'run', train_dt=False)
    train.train(config, config.workdir)
    cls.trained = trained_idm.restore(config.workdir)
    cls.read = domains.of(config).read('Play')

  def test_an_unfinished_run_is_warned_of(self):
    for step, expected in ((self.trained.config.num_steps, ''), (1, 'stopped at update 1 of ')):
      with contextlib.redirect_stderr(io.StringIO()) as error:
        trained_idm.warn_if_unfinished(dataclasses.replace(self.trained, step=step))
      self.assertIn(expected, error.getvalue())
      self.assertEqual(bool(error.getvalue()), bool(expected))

  def find(self, make_predict_fn=say_by_frame, **settings):
    return clips_run.clips_run(
        saying(self.trained, make_predict_fn), **dict(num_clips=7, progress=False) | settings)

  def write_files(self, directory, files=FILES):
    path = directory / 'dataset_card.json'
    before = path.read_text()
    self.addCleanup(path.write_text, before)
    path.write_text(json.dumps(json.loads(before) | {'source_files': files}))

  def windows(self):
    """All of them, from what training reads: episode, start, frames and which actions are known."""
    for e, length in enumerate(LENGTHS):
      for start in range(0, length - 4, 5):
        frames = self.read.cut(np.array([e]), np.array([start]), 5).observations[0]
        yield e, start, frames, self.read.actions_of(e)[1][start:start + 5]

  def test_clips_are_those_of_the_rule(self):
    episode, start, frames, is_known = map(np.array, zip(*self.windows(), strict=True))
    unsure = np.array([1 - np.mean([confidence_of(f) for f in window[:5]]) for window in frames])
    chosen = clips.choose(
        unsure, clips.balanced(clips.looks(frames)), 7, episode=episode, start=start, window=5,
        is_labelled=is_known.any(axis=1))
    found = self.find()
    self.assertEqual([(clip['episode'], clip['first_step']) for clip in found['clips']],
                     list(zip(episode[chosen].tolist(), start[chosen].tolist(), strict=True)))
    np.testing.assert_allclose([clip['uncertainty'] for clip in found['clips']], unsure[chosen],
                               atol=1e-4)
    self.assertEqual((found['num_labelled'], found['num_unlabelled']), (4 + 2 + 4, 6 + 3 + 1 + 14))

  def test_nothing_has_a_known_action_and_all_is_there(self):
    found = self.find(num_clips=1000)
    self.assertLen(found['clips'], found['num_unlabelled'])
    self.assertEqual([clip['rank'] for clip in found['clips']], list(range(1, 25)))
    for clip in found['clips']:
      self.assertEqual(clip['last_step'] - clip['first_step'], 4)
      self.assertLess(clip['last_step'], LENGTHS[clip['episode']])
      steps = slice(clip['first_step'], clip['last_step'] + 1)
      self.assertFalse(self.read.actions_of(clip['episode'])[1][steps].any())

  def test_clips_can_be_longer_than_the_window(self):
    found = self.find(num_clips=1000, length=10)
    places = {(clip['episode'], clip['first_step']) for clip in found['clips']}
    expected = {
        (e, start) for e, length in enumerate(LENGTHS) for start in range(0, length - 9, 10)
        if not self.read.actions_of(e)[1][start:start + 10].any()}
    self.assertEqual(places, expected)
    self.assertEqual({c['last_step'] - c['first_step'] for c in found['clips']}, {9})

  def test_what_is_read_at_a_time_changes_nothing(self):
    before = self.find()
    with mock.patch.multiple(clips_run, _EPISODES_AT_A_TIME=1, _WINDOWS_AT_A_TIME=2):
      self.assertEqual(self.find(), before)

  def test_memory_does_not_grow_with_frames(self):
    peaks = {}
    for num_episodes in (4, 40):
      directory = self.root / f'Many{num_episodes}'
      own_runs.write(directory, (100,) * num_episodes, known=.5)
      with mock.patch.multiple(clips_run, _EPISODES_AT_A_TIME=2, _MOST_CANDIDATES=20,
                               _MOST_LABELLED=20):
        self.find(dataset=str(directory))  # What is made once is made here.
        tracemalloc.start()
        self.find(dataset=str(directory))
        peaks[num_episodes] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    num_bytes = 101 * own_runs.SIZE ** 2  # Of the frames of an episode.
    self.assertLess(peaks[40] - peaks[4], 2 * num_bytes)
    self.assertGreater(peaks[4], num_bytes)

  def test_where_there_are_many_the_most_unsure_are_candidates(self):
    most = sorted(clip['uncertainty'] for clip in self.find(num_clips=1000)['clips'])[-3:]
    with mock.patch.multiple(clips_run, _EPISODES_AT_A_TIME=2, _MOST_CANDIDATES=3):
      found = self.find()
    self.assertEqual(sorted(clip['uncertainty'] for clip in found['clips']), most)
    self.assertEqual(found['num_unlabelled'], 24)

  def test_where_many_have_labels_every_other_one_stands_for_them(self):
    episode, start, frames, is_known = map(np.array, zip(*self.windows(), strict=True))
    unsure = np.array([1 - np.mean([confidence_of(f) for f in window[:5]]) for window in frames])
    is_labelled = is_known.any(axis=1)
    kept = ~is_labelled | (np.cumsum(is_labelled) % 4 == 1)  # 10: the first, fifth and ninth.
    chosen = np.flatnonzero(kept)[clips.choose(
        unsure[kept], clips.balanced(clips.looks(frames[kept])), 7, episode=episode[kept],
        start=start[kept], window=5, is_labelled=is_labelled[kept])]
    with mock.patch.multiple(clips_run, _EPISODES_AT_A_TIME=1, _MOST_LABELLED=3):
      found = self.find()
    self.assertEqual([(clip['episode'], clip['first_step']) for clip in found['clips']],
                     list(zip(episode[chosen].tolist(), start[chosen].tolist(), strict=True)))
    self.assertEqual((found['num_labelled'], found['num_candidates']), (10, 24))

  def test_what_training_was_given_may_be_all_that_counts(self):
    found = self.find(known='run', num_clips=1000)
    choice = labels.read_choice(self.root / 'run' / 'labels.json')
    given = {tuple(place) for place in choice.windows.tolist()}
    self.assertEqual(found['num_labelled'], len(given))
    places = {(clip['episode'], clip['first_step']) for clip in found['clips']}
    self.assertEqual(places, {(e, start) for e, start, _, _ in self.windows()} - given)

  def test_clips_have_the_names_and_seconds_of_their_files(self):
    self.write_files(self.root / 'Play')
    found = self.find()
    for clip in found['clips']:
      self.assertEqual(clip['file'], FILES[clip['episode']]['name'])
      self.assertAlmostEqual(clip['first_second'], clip['first_step'] / 15, places=3)
      self.assertAlmostEqual(clip['last_second'], (clip['last_step'] + 1) / 15, places=3)
    clip = found['clips'][0] | {'file': 'b.mp4', 'episode': 1, 'first_step': 15, 'last_step': 19,
                                'first_second': 1., 'last_second': 1.333, 'uncertainty': .456}
    self.assertEqual(clips_run.table(found | {'clips': [clip]}), [
        '   file   episode  steps     seconds       uncertainty',
        '1  b.mp4  1        15 to 19  1.00 to 1.33  0.46'])
    self.assertEqual(clips_run.table(found | {'frame_skip': 4})[-1],
                     'Step n is frame 4 n of its file, counted from 0.')

  def test_names_go_with_the_labels_that_an_idm_has_written(self):
    self.write_files(self.root / 'Play')
    label_dataset.label_run(self.trained, self.root / 'Labelled', progress=False)
    found = self.find(dataset=str(self.root / 'Labelled'))
    self.assertEqual(found['clips'], self.find()['clips'])

  def test_old_data_has_numbers_only(self):
    found = self.find()
    self.assertEqual({(clip['file'], clip['first_second'], clip['last_second'])
                      for clip in found['clips']}, {(None, None, None)})
    directory = self.root / 'old'
    self.assertEqual(clips_run.write(found, directory), [str(directory / 'clips.json')])
    self.assertEqual(json.loads((directory / 'clips.json').read_text()), found)
    self.assertLen([path.name for path in directory.iterdir()], 1)
    self.assertRegex(clips_run.table(found)[1], r'^1  -     \d        \d+ to \d+ +-        0')

  def test_what_is_there_is_not_overwritten(self):
    (self.root / 'taken').mkdir()
    (self.root / 'taken' / 'clips.json').write_text('mine')
    with self.assertRaisesRegex(ValueError, 'taken: already exists and is not overwritten'):
      clips_run.write(self.find(), self.root / 'taken')
    self.assertEqual((self.root / 'taken' / 'clips.json').read_text(), 'mine')

  def test_vectors_and_episodes_shorter_than_a_window(self):
    root = self.root / 'vectors'
    described = environment_file.Environment(
        name='Play', observation=environment_file.Observation(
            kind='vector', shape=(3,), low=0., high=1.),
        actions=environment_file.Actions(space=own_runs.ACTIONS), reward=None)
    rng = np.random.default_rng(0)
    writer.write(root / 'Play', name='Play', environment=described, card={}, episodes=(
        writer.steps(rng.random((length + 1, 3), np.float32), np.zeros(length, int),
                     is_labelled=np.zeros(length, bool)) for length in (3, 12, 4)))
    config = own_runs.config(root, root / 'run')
    config.model.patch_size = 0
    trained = dataclasses.replace(
        self.trained, config=config, spec=domains.of(config).spec('Play'), time_scales={})

    def always_unsure(spec, stride):
      del stride
      return lambda episodes, numbers: (
          votes.Votes(n, np.full((episodes.num_transitions[n], spec.num_actions), .25), None)
          for n in numbers)

    found = clips_run.clips_run(saying(trained, always_unsure), progress=False)
    self.assertCountEqual([(clip['episode'], clip['first_step']) for clip in found['clips']],
                          [(1, 0), (1, 5)])
    self.assertEqual(found['clips'][0]['uncertainty'], .75)

  @parameterized.parameters(
      (dict(num_clips=0), 'num_clips is 0; expected at least 1'),
      (dict(length=-1), 'length is -1; expected at least 1, or 0'),
      (dict(length=5000), 'length is 5000; no episode of .* Choose a smaller one'),
      (dict(known='me'), "known is 'me'; expected one of"),
      (dict(dataset='/nowhere'), '/nowhere: no such dataset directory'))
  def test_refuses(self, settings, message):
    with self.assertRaisesRegex((ValueError, FileNotFoundError), message):
      self.find(**settings)

  def test_refuses_data_with_nothing_left_to_label(self):
    own_runs.write(self.root / 'Known', (12, 15), known=(.5, 1.), seed=3)
    own_runs.write(self.root / 'Short', (3, 4), known=0., seed=3)
    for name, message in (('Known', 'Known: no 5 transitions in a row are without'),
                          ('Short', 'length is 5; no episode of .*Short has so many')):
      with self.assertRaisesRegex(ValueError, message):
        self.find(dataset=str(self.root / name))


class BinaryTest(absltest.TestCase):

  def run_binary(self, *args):
    return subprocess.run([sys.executable, '-m', 'experiments.clips', *args], cwd=ROOT,
                          capture_output=True, text=True, check=False)

  def test_a_mistake_is_one_line(self):
    done = self.run_binary('--run=/nowhere')
    self.assertEqual((done.returncode, done.stdout), (1, ''))
    self.assertRegex(done.stderr, '^error: /nowhere/config.json: no such file; .*\n$')

  def test_from_videos_to_a_list_of_actions_that_is_imported(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    source = root / 'clips'
    source.mkdir()
    for i in range(4):
      video_files.write(source / f'v{i}.mkv', videos_test.moving(25, seed=i), 15)
    environment_file.write(source / 'environment.json', own_data.environment(
        name='Play', shape=(16, 32, 1), steps_per_second=15.))
    images_test.write_csv(
        source / 'actions.csv', [(f'v{i}.mkv', t, 'up') for i in (1, 2) for t in range(10)])

    def import_into(name):
      config = own_runs.config(root / name, root / 'run')
      config.import_.update(kind='videos', from_dir=str(source))
      collect.main(config)
      return root / name / 'Play'

    import_into('data')
    config = own_runs.config(root / 'data', root / 'run', train_dt=False,
                             compilation_cache_dir=str(root / 'cache'))
    config.model.patch_size = 16
    train.train(config, config.workdir)
    done = self.run_binary(f'--run={config.workdir}', '--num_clips=3')
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    directory = root / 'run' / 'clips'
    found = json.loads((directory / 'clips.json').read_text())
    text = (directory / 'actions.csv').read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    self.assertEqual([(row['file'], int(row['step']), row['action']) for row in rows],
                     [(clip['file'], clip['first_step'] + t, '') for clip in found['clips']
                      for t in range(5)])
    self.assertIn(f'Wrote {directory}/clips.json and {directory}/actions.csv', done.stdout)
    self.assertEqual(done.stdout.splitlines()[:4], clips_run.table(found))
    again = self.run_binary(f'--run={config.workdir}', '--num_clips=3')
    self.assertEqual(again.returncode, 1)
    self.assertIn('clips: already exists and is not overwritten', again.stderr)

    # Nothing filled in, some of it, all of it: added to the list, it is imported as it is.
    before = (source / 'actions.csv').read_text()
    lines = text.splitlines(keepends=True)[1:]
    for num_filled_in in (0, 7, 15):
      filled = [line.strip() + 'jump\n' if i < num_filled_in else line
                for i, line in enumerate(lines)]
      (source / 'actions.csv').write_text(before + ''.join(filled))
      again = import_into(f'data{num_filled_in}')
      read = rlds.read_episodes(again, environment_file.read(again).spec())
      known = {(e, t): int(actions[t]) for e in range(4)
               for actions, is_known in [read.actions_of(e)] for t in np.flatnonzero(is_known)}
      places = [(clip['episode'], clip['first_step'] + t) for clip in found['clips']
                for t in range(5)]
      self.assertEqual(known, {(i, t): 1 for i in (1, 2) for t in range(10)}
                       | dict.fromkeys(places[:num_filled_in], 3))


if __name__ == '__main__':
  absltest.main()
