"""A labelled copy of a dataset: labels on the right frames, true ones untouched, nothing lost."""

import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import weakref
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized
from array_record.python import array_record_module
from tensorflow_datasets.core import example_parser

from alpt_jax.data import (
    environment_file,
    episode_files,
    label_fields,
    labelled_dataset,
    record_file,
    records,
    rlds,
    writer,
)
from alpt_jax.data.importers import rlds as import_rlds
from alpt_jax.labelling import votes
from tests import exhaustive
from tests.labelling import votes_test

T = 5
ACTIONS = ('stay', 'one', 'two', 'three')
ENVIRONMENT = environment_file.Environment(
    name='Walk', observation=environment_file.Observation(
        kind='vector', shape=(1,), low=0., high=1000.),
    actions=environment_file.Actions(space=ACTIONS), reward=None)
IMAGES = dataclasses.replace(
    ENVIRONMENT, observation=environment_file.Observation(kind='image', shape=(4, 4, 1)))
SETTINGS = labelled_dataset.Settings(episodes_per_file=3)
SPACE = ENVIRONMENT.spec().actions
PROVENANCE = {'checkpoint': 'runs/idm', 'window': T}


def make_walks(rng, num_episodes, environment=ENVIRONMENT, share_known=.3):
  """Episodes whose observations tell their actions; unknown ones are not written down."""
  episodes, truth = [], []
  for _ in range(num_episodes):
    length = int(rng.integers(1, 20))
    actions = rng.integers(0, 4, length)
    place = np.cumsum([0, *actions])
    shape = environment.observation.shape
    observations = np.broadcast_to(place.reshape(-1, *[1] * len(shape)), (length + 1, *shape))
    is_image = environment.observation.kind == 'image'
    episodes.append(writer.steps(
        observations.astype(np.uint8 if is_image else np.float32), actions,
        is_labelled=rng.random(length) < share_known))
    truth.append(actions)
  return episodes, truth


def write_walks(directory, rng, num_episodes, environment=ENVIRONMENT, **kwargs):
  episodes, truth = make_walks(rng, num_episodes, environment, **kwargs)
  writer.write(directory, name='Walk', environment=environment, episodes=iter(episodes),
               card={}, episodes_per_shard=4)
  return truth


def open_walks(directory, environment=ENVIRONMENT):
  return records.Dataset(directory, environment.spec())


def say_differences(groups, stride=1, pool=None):
  """Votes of a perfect IDM."""
  groups = ((_Flat(episodes) if episodes.frames(0, 0, 1).dtype == np.uint8 else episodes, numbers)
            for episodes, numbers in groups)
  return votes.predict_groups(votes_test.Differences(rows=7), None, groups, window=T,
                              stride=stride, pool=pool)


class _Flat:
  """Frames as the one number that all their pixels show."""

  def __init__(self, episodes):
    self._episodes, self.num_transitions = episodes, episodes.num_transitions

  def frames(self, *args):
    return self._episodes.frames(*args)[:, 0, 0].astype(np.float32)


def read_steps(directory, environment=ENVIRONMENT):
  """The parsed steps of all episodes, in order."""
  dataset = open_walks(directory, environment)
  parser = example_parser.ExampleParserNp(
      dataset.builder.info.features.get_serialized_info())
  parsed = []
  for chunk in dataset.chunks(100):
    for record in dataset.read(chunk).records:
      parsed.append(parser.parse_example(record)['steps'])
  return parsed


def label_steps(stored, is_known, vote, space, **kwargs):
  """`label_fields.steps` of one action."""
  return label_fields.steps(
      space, space, {'action': np.array(stored)}, np.array(is_known), vote, **kwargs)


def content(directory):
  """SHA-256 of all records of a dataset, without their compression: 16 hex digits."""
  digest = hashlib.sha256()
  for path in sorted(pathlib.Path(directory).glob('*.array_record*')):
    for record in array_record_module.ArrayRecordReader(str(path)).read_all():
      digest.update(record)
  return digest.hexdigest()[:16]


class LabelledDatasetTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = self.enterContext(tempfile.TemporaryDirectory())
    self.source, self.output = (os.path.join(self.directory, x) for x in ('source', 'output'))

  def write(self, predict=say_differences, settings=SETTINGS, provenance=PROVENANCE,
            output=None, **kwargs):
    return labelled_dataset.write(open_walks(self.source), output or self.output, predict,
                                  settings, provenance=provenance, **kwargs)

  def test_every_step_of_a_small_dataset(self):
    truth = write_walks(self.source, np.random.default_rng(0), 10)
    card = self.write()
    before = read_steps(self.source)
    for actions, was, step in zip(truth, before, read_steps(self.output), strict=True):
      is_known = was['is_labelled'][:-1].astype(bool)
      np.testing.assert_array_equal(step['action'], [*actions, 0])
      np.testing.assert_array_equal(step['action_source'], [*np.where(is_known, 1, 2), 0])
      np.testing.assert_array_equal(step['is_labelled'], [True] * len(actions) + [False])
      np.testing.assert_array_equal(step['action_probabilities'][:-1], np.eye(4)[actions])
      np.testing.assert_array_equal(step['action_entropy'], np.zeros(len(actions) + 1))
      np.testing.assert_array_equal(
          step['num_votes'][:-1], np.minimum(np.minimum.reduce(
              [np.arange(len(actions)) + 1, len(actions) - np.arange(len(actions)),
               np.full(len(actions), max(len(actions) - T + 1, 1))]), T))
      for name in ('observation', 'reward', 'is_first', 'is_last', 'is_terminal', 'discount'):
        np.testing.assert_array_equal(step[name], was[name])
    self.assertEqual(card['labels']['num_true'], sum(
        int(step['is_labelled'].sum()) for step in before))
    self.assertEqual(card['labels']['num_true'] + card['labels']['num_idm'],
                     sum(map(len, truth)))
    self.assertEqual({k: card['labels'][k] for k in PROVENANCE}, PROVENANCE)
    self.assertFalse(os.path.exists(f'{self.output}.unfinished'))

  @parameterized.parameters((0, '91364c21445ed452'), (2, 'e7b1f2d5b8edbd89'))
  def test_records_of_one_action_are_those_that_they_always_were(self, top_k, digest):
    write_walks(self.source, np.random.default_rng(0), 7)
    card = self.write(settings=SETTINGS._replace(top_k=top_k))
    self.assertEqual(content(self.output), digest)
    del card['labels']['started'], card['labels']['file_bytes']
    self.assertEqual(card['labels'], PROVENANCE | {
        'settings': {'num_actions': 4, 'stored_actions': [], 'top_k': top_k,
                     'episodes_per_file': 3}, 'files': 3, 'num_true': 22, 'num_idm': 57})

  def test_our_own_loaders_and_tfds_read_it(self):
    truth = write_walks(self.source, np.random.default_rng(0), 7, IMAGES)
    labelled_dataset.write(open_walks(self.source, IMAGES), self.output, say_differences, SETTINGS,
                           provenance=PROVENANCE)
    environment = environment_file.read(self.output)
    data = episode_files.EpisodeFiles([self.output], environment.spec(), expected_name='Walk',
                                      with_idm_labels=True)
    np.testing.assert_array_equal(data.num_transitions, list(map(len, truth)))
    for number, actions in enumerate(truth):
      cut = data.cut(np.array([number]), np.array([0]), len(actions))
      self.assertTrue(cut.is_labelled.all())
      np.testing.assert_array_equal(cut.actions[0], actions)
    builder = rlds.open_builder(self.output)
    steps = [s for e in builder.as_data_source('train') for s in e['steps']]
    self.assertEqual(builder.info.features['steps'].feature['action_source'].names,
                     list(rlds.SOURCES))
    self.assertLen(steps, sum(len(a) + 1 for a in truth))

  @parameterized.parameters(ENVIRONMENT, IMAGES)
  def test_what_an_idm_has_labelled_is_not_known_unless_asked_for(self, environment):
    truth = write_walks(self.source, np.random.default_rng(0), 7, environment)
    labelled_dataset.write(open_walks(self.source, environment), self.output, say_differences,
                           SETTINGS, provenance=PROVENANCE)

    def read(directory, **kwargs):
      if environment is IMAGES:
        return episode_files.EpisodeFiles([directory], environment.spec(), **kwargs)
      return rlds.read_episodes(directory, environment.spec(), **kwargs)

    before = read(self.source)
    # The last finds what the others have written down of the dataset.
    for _ in range(2):
      after, everything = read(self.output), read(self.output, with_idm_labels=True)
      self.assertLess(before.num_labelled.sum(), everything.num_labelled.sum())
      np.testing.assert_array_equal(after.num_labelled, before.num_labelled)
      np.testing.assert_array_equal(everything.num_labelled, list(map(len, truth)))
      for number, actions in enumerate(truth):
        for a, b in zip(after.actions_of(number), before.actions_of(number), strict=True):
          np.testing.assert_array_equal(a, b)
        found, is_labelled = everything.actions_of(number)
        np.testing.assert_array_equal(found, actions)
        self.assertTrue(is_labelled.all())

  def test_imported_again_it_has_its_true_actions_only(self):
    write_walks(self.source, np.random.default_rng(0), 7)
    self.write()
    played = [[r.is_labelled.tolist() for r in import_rlds.recordings(path, ENVIRONMENT)]
              for path in (self.source, self.output)]
    self.assertEqual(*played)
    self.assertLess(sum(map(sum, played[1])), sum(map(len, played[1])))

  def test_refuses_a_field_of_that_name_that_says_something_else(self):
    write_walks(self.source, np.random.default_rng(0), 2)
    self.write()
    path, = pathlib.Path(self.output).glob('*action_source*')
    path.write_text('none\nidm\ntrue\n')
    for read in (lambda: rlds.read_episodes(self.output, ENVIRONMENT.spec()),
                 lambda: list(import_rlds.recordings(self.output, ENVIRONMENT))):
      with self.assertRaisesRegex(ValueError, 'action_source is ClassLabel.*expected a ClassLabel'):
        read()

  def test_random_datasets(self):
    rng = np.random.default_rng(0)
    for trial in range(exhaustive.num_of(1000)):
      episodes, truth = make_walks(rng, int(rng.integers(1, 8)))
      held = records.Episodes(ENVIRONMENT.spec(), _Plain(), [None] * len(episodes), episodes)
      numbers, stride = rng.permutation(len(episodes)), int(rng.integers(1, T + 1))
      with votes_test.Shuffled(1 + trial % 4) as pool:
        for vote in say_differences([(held, numbers)], stride, pool if trial % 5 == 0 else None):
          fields, actions = episodes[vote.episode], truth[vote.episode]
          is_known = rlds.labelled(fields)[:-1]
          # A known action that the IDM would get wrong: it has to stay.
          fields['action'][:-1][is_known] = 3 - actions[is_known]
          step = label_fields.steps(SPACE, SPACE, fields, is_known, vote)
          np.testing.assert_array_equal(
              step['action'], [*np.where(is_known, 3 - actions, actions), 0])

  @parameterized.parameters(1, 2, 5)
  def test_any_number_of_processes_and_kills_gives_the_same_files(self, num_processes):
    write_walks(self.source, np.random.default_rng(1), 23)
    whole = os.path.join(self.directory, 'whole')
    self.write(output=whole)

    class Killed(Exception):
      pass

    killed = 0
    for process in range(num_processes):
      for files_before_kill in (1, 2, 100):
        def predict(groups, num_files=files_before_kill):
          for votes_ in say_differences(groups):
            num_files -= votes_.episode == 0
            if num_files < 0:
              raise Killed
            yield votes_

        try:
          card = self.write(predict, share=(process, num_processes))
        except Killed:
          killed += 1
          self.assertFalse(os.path.exists(self.output))
        else:
          break
      self.assertEqual(card is None, process < num_processes - 1)
    self.assertGreater(killed, 0)
    self.assertEqual(rlds.dataset_digest(self.output), rlds.dataset_digest(whole))
    self.assertEqual(sorted(os.listdir(self.output)), sorted(os.listdir(whole)))

  def test_file_that_changed_after_it_was_written_is_made_again(self):
    write_walks(self.source, np.random.default_rng(1), 9)
    whole = os.path.join(self.directory, 'whole')
    self.write(output=whole)
    self.write(share=(0, 2))
    content = os.path.join(f'{self.output}.unfinished', 'content')
    path = os.path.join(content, sorted(os.listdir(content))[0])
    data = bytearray(open(path, 'rb').read())
    data[len(data) // 2] ^= 1
    open(path, 'wb').write(data)
    self.assertIsNone(self.write(share=(0, 2)))
    self.write(share=(1, 2))
    self.assertEqual(rlds.dataset_digest(self.output), rlds.dataset_digest(whole))

  def test_labels_again_only_what_an_idm_had_labelled(self):
    truth = write_walks(self.source, np.random.default_rng(2), 5)
    wrong = os.path.join(self.directory, 'wrong')

    def say_one(groups):
      for vote in say_differences(groups):
        yield vote._replace(probabilities=np.eye(4, dtype=np.float32)[[1] * len(vote.num_votes)])

    first = self.write(say_one, output=wrong)
    second = labelled_dataset.write(
        open_walks(wrong), self.output, say_differences, SETTINGS, provenance=PROVENANCE)
    self.assertEqual(first['labels']['num_true'], second['labels']['num_true'])
    for actions, step in zip(truth, read_steps(self.output), strict=True):
      np.testing.assert_array_equal(step['action'][:-1], actions)

  def test_nothing_of_an_earlier_labelling_stays(self):
    write_walks(self.source, np.random.default_rng(2), 3)
    first = os.path.join(self.directory, 'first')
    self.write(output=first)
    labelled_dataset.write(open_walks(first), self.output, say_differences,
                           SETTINGS._replace(top_k=2), provenance=PROVENANCE)
    step = read_steps(self.output)[0]
    self.assertContainsSubset({'action_top', 'action_top_probabilities'}, step)
    self.assertNotIn('action_probabilities', step)

  def test_probabilities_sum_to_1_where_fewer_actions_are_stored(self):
    vote = votes.Votes(0, np.array([[.1, .2, .3, .4]], np.float32), np.array([1]))
    step = label_steps([0, 0], [False], vote, dataclasses.replace(SPACE, stored=(3, 1)))
    np.testing.assert_allclose(step['action_probabilities'][0], [2 / 3, 1 / 3], rtol=1e-6)

  def test_memory_holds_a_few_files_whatever_there_is(self):
    write_walks(self.source, np.random.default_rng(3), 120)
    source, alive, most = open_walks(self.source), weakref.WeakSet(), []
    read = source.read

    def read_and_watch(chunk):
      episodes = read(chunk)
      alive.add(episodes)
      most.append(len(alive))
      return episodes

    source.read = read_and_watch
    labelled_dataset.write(source, self.output, say_differences, SETTINGS, provenance=PROVENANCE)
    self.assertLen(most, 60)  # Each source file of four episodes makes two.
    # Here a file is at least a call. One more is read, one waits for that, and one is labelled.
    self.assertLessEqual(max(most), votes.CALLS_READ_AHEAD + votes.CALLS_AHEAD + 3)

  def test_top_k_by_hand(self):
    vote = votes.Votes(0, np.array([[.1, .2, .3, .4], [.5, 0., .5, 0.]], np.float32),
                       np.array([5, 1]))
    step = label_steps([3, 2, 0], [False, True], vote, SPACE, top_k=2)
    np.testing.assert_array_equal(step['action'], [3, 2, 0])
    np.testing.assert_array_equal(step['action_top'], [[3, 2], [0, 2], [0, 0]])
    np.testing.assert_allclose(step['action_top_probabilities'], [[.4, .3], [.5, .5], [0, 0]])
    np.testing.assert_allclose(step['action_entropy'], [1.279854, np.log(2), 0], rtol=1e-5)
    np.testing.assert_array_equal(step['num_votes'], [5, 1, 0])

  def test_indices_of_a_smaller_set(self):
    # Declared actions 0 .. 3; the data stores indices into (3, 1).
    vote = votes.Votes(0, np.array([[0., .25, 0., .75], [0., .6, 0., .4]], np.float32),
                       np.array([1, 1]))
    step = label_steps(
        [0, 0, 0], [False, False], vote, dataclasses.replace(SPACE, stored=(3, 1)))
    np.testing.assert_array_equal(step['action'], [0, 1, 0])
    np.testing.assert_allclose(step['action_probabilities'], [[.75, .25], [.4, .6], [0, 0]])

  def test_known_actions_can_be_those_that_somebody_names(self):
    truth = write_walks(self.source, np.random.default_rng(0), 6, share_known=1.)
    card = self.write(known=lambda number, fields: np.full(len(fields['action']) - 1, number == 4))
    self.assertEqual(card['labels']['num_true'], len(truth[4]))

  def test_a_disk_that_gets_full_loses_no_file_that_is_done(self):
    write_walks(self.source, np.random.default_rng(3), 10)  # Five files.
    expected = self.write(output=f'{self.output}_unbroken')
    write, left = record_file.RecordFile.close, 0

    def close(file):
      nonlocal left
      left -= 1
      if left < 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file._path)
      write(file)

    for room in (0, 2):
      left = room
      with mock.patch.object(record_file.RecordFile, 'close', close):
        with self.assertRaises(OSError) as raised:
          self.write()
      if room:
        self.assertRegex(str(raised.exception), f'{self.output}: No space left on device. 2 of 5 '
                         f'files stay in {self.output}.unfinished; the same command goes on')
        names = [path for path in pathlib.Path(f'{self.output}.unfinished').rglob('*')
                 if path.is_file()]
        self.assertLen(names, 1 + 2 + 2)  # The plan; files and what is known of them.
      else:
        self.assertEqual(raised.exception.filename, self.output)
        self.assertFalse(os.path.exists(f'{self.output}.unfinished'))
      self.assertFalse(os.path.exists(self.output))
    card = self.write()
    self.assertEqual(card['labels']['file_bytes'], expected['labels']['file_bytes'])

  def test_an_error_that_is_of_no_file_here_is_raised_as_it_is(self):
    write_walks(self.source, np.random.default_rng(3), 4)
    error = BrokenPipeError(errno.EPIPE, 'Broken pipe')
    with self.assertRaises(BrokenPipeError) as raised:
      self.write(progress=mock.Mock(side_effect=error))
    self.assertIs(raised.exception, error)
    self.assertIsNone(error.__cause__)

  def test_refuses_a_directory_that_is_there(self):
    write_walks(self.source, np.random.default_rng(0), 3)
    os.makedirs(os.path.join(self.output, 'something'))
    with self.assertRaisesRegex(ValueError, 'output: already exists and is not overwritten'):
      self.write()

  def test_does_not_go_on_with_another_idm(self):
    write_walks(self.source, np.random.default_rng(0), 9)
    self.write(share=(0, 2))
    with self.assertRaisesRegex(
        ValueError, r"unfinished: was begun with checkpoint 'runs/idm'; now it is 'other'"):
      self.write(provenance=PROVENANCE | {'checkpoint': 'other'}, share=(1, 2))

  def test_names_the_record_with_an_action_that_is_not_declared(self):
    episodes, _ = make_walks(np.random.default_rng(0), 6, share_known=1.)
    episodes[5]['action'][0] = 7
    larger = environment_file.Actions(space=tuple(map(str, range(8))))
    writer.write(self.source, name='Walk',
                 environment=dataclasses.replace(ENVIRONMENT, actions=larger),
                 episodes=iter(episodes), card={}, episodes_per_shard=4)
    with self.assertRaisesRegex(
        ValueError, r'00001-of-00002, record 1: action is 7 at step 0 .*; Walk has \[0, 1, 2, 3\]'):
      self.write()
    self.assertFalse(os.path.exists(self.output))
    # What comes before it is labelled, and not once more.
    self.assertLen(os.listdir(os.path.join(f'{self.output}.unfinished', 'files')), 2)

  def test_killed_after_the_dataset_has_its_name(self):
    write_walks(self.source, np.random.default_rng(0), 6)
    with mock.patch.object(shutil, 'rmtree', side_effect=KeyboardInterrupt):
      self.assertRaises(KeyboardInterrupt, self.write)
    self.assertTrue(os.path.exists(f'{self.output}.unfinished'))
    self.assertEqual(self.write(), rlds.read_card(self.output))
    self.assertFalse(os.path.exists(f'{self.output}.unfinished'))

  @parameterized.parameters(
      (labelled_dataset._Work, '_card'), (labelled_dataset._Work, '_write_info'),
      (tfds.features.FeaturesDict, 'save_config'), (os, 'replace'), (os, 'rename'))
  def test_two_processes_find_all_files_at_once(self, owner, name):
    write_walks(self.source, np.random.default_rng(0), 6)
    self.write(share=(0, 2))
    original, cards = getattr(owner, name), []

    def meanwhile(*args, **kwargs):
      if not cards and not (name == 'replace' and 'manifest' not in args[0]):
        cards.append(None)
        cards[0] = self.write(share=(1, 2))  # The other one is first.
      return original(*args, **kwargs)

    with mock.patch.object(owner, name, meanwhile):
      self.assertEqual(self.write(share=(1, 2)), cards[0])
    self.assertEqual(rlds.read_card(self.output), cards[0])
    self.assertFalse(os.path.exists(f'{self.output}.unfinished'))
    self.assertLen(read_steps(self.output), 6)

  def test_process_whose_files_another_has_finished_and_moved_is_done_too(self):
    write_walks(self.source, np.random.default_rng(0), 6)
    cards = []

    def predict(groups):
      for votes_ in say_differences(groups):
        if not cards:
          cards.append(self.write())  # Another process, from the beginning to the end.
        yield votes_

    self.assertEqual(self.write(predict), cards[0])
    self.assertFalse(os.path.exists(f'{self.output}.unfinished'))
    self.assertLen(read_steps(self.output), 6)

  @parameterized.parameters('missing', 'cut')
  def test_output_that_has_lost_a_file_is_not_taken_for_done(self, damage):
    write_walks(self.source, np.random.default_rng(0), 6)
    card = self.write()
    self.assertEqual(self.write(), card)
    path = sorted(pathlib.Path(self.output).glob('*.array_record-*'))[1]
    if damage == 'missing':
      path.unlink()
    else:
      path.write_bytes(path.read_bytes()[:-1])
    with self.assertRaisesRegex(ValueError, 'output: files are missing or damaged. Delete it'):
      self.write()

  def test_share_that_comes_late_finds_all_done(self):
    write_walks(self.source, np.random.default_rng(0), 4)
    self.write(share=(0, 3))
    card = self.write(share=(1, 3))
    self.assertEqual(self.write(share=(2, 3)), card)
    with self.assertRaisesRegex(ValueError, 'output: already exists and is not overwritten'):
      self.write(provenance=PROVENANCE | {'checkpoint': 'other'}, share=(2, 3))

  def test_dataset_without_one_of_its_files_never_gets_its_name(self):
    write_walks(self.source, np.random.default_rng(0), 6)
    with mock.patch.object(shutil, 'rmtree', side_effect=KeyboardInterrupt):
      self.assertRaises(KeyboardInterrupt, self.write)
    os.rename(self.output, f'{self.output}.moved')
    self.assertIsNone(self.write(share=(0, 2)))
    self.assertFalse(os.path.exists(self.output))
    self.write(share=(1, 2))
    self.assertEqual(rlds.dataset_digest(self.output), rlds.dataset_digest(f'{self.output}.moved'))

  def test_long_episodes_have_files_with_fewer_of_them(self):
    write_walks(self.source, np.random.default_rng(0), 8)
    with mock.patch.object(records, '_CHUNK_BYTES', 1):
      source = open_walks(self.source)
      self.assertLen(source.chunks(50), 8)
    self.assertEqual([p.end - p.begin for p in source.chunks(3)], [3, 1, 3, 1])

  def test_damaged_plan_is_named(self):
    write_walks(self.source, np.random.default_rng(0), 3)
    os.makedirs(f'{self.output}.unfinished')
    with open(os.path.join(f'{self.output}.unfinished', 'plan.json'), 'w') as f:
      json.dump([], f)
    with self.assertRaisesRegex(ValueError, 'plan.json: not a plan'):
      self.write()


class _Plain:
  """The feature of vectors that are not encoded."""

  def decode_example_np(self, value):
    return value


if __name__ == '__main__':
  absltest.main()
