import dataclasses

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import types
from alpt_jax.data import episodes as episodes_lib
from alpt_jax.data import labels, pipeline, sampling


def _episodes(lengths, offset=0):
  """Episodes whose observation is its own index, counted from `offset`."""
  lengths = np.array(lengths)
  first_step = np.cumsum(lengths + 1) - (lengths + 1)
  num_steps = int(np.sum(lengths + 1))
  is_transition = np.ones(num_steps, bool)
  is_transition[first_step + lengths] = False
  index = np.arange(num_steps)
  return episodes_lib.InMemory(
      observations=np.stack([index + offset, -index], axis=1).astype(np.float32),
      actions=np.where(is_transition, index % 4, 0).astype(np.int32),
      rewards=np.where(is_transition, index, 0).astype(np.float32),
      is_labelled=is_transition, first_step=first_step, num_transitions=lengths)


def _streams():
  source = _episodes([9, 3, 12, 7, 30, 5, 8, 6])
  target = _episodes([14, 6, 8, 25, 10, 5, 7], offset=1000)
  windows = labels.choose_windows(target.num_transitions, budget=30, window=5, seed=0)
  hidden = labels.hide_actions(target, windows, 5)
  labelled = sampling.labelled_windows(windows, 5)
  return [
      pipeline.Stream('idm', source, sampling.whole_episodes(source.num_transitions), 0, 8),
      pipeline.Stream('idm', hidden, labelled, 1, 4),
      pipeline.Stream('limited', hidden, sampling.whole_episodes(target.num_transitions), 1, 8)]


def _fields(batches):
  """All arrays of a `types.Batches`, by name."""
  return {f'{part}/{name}': array for part, batch in batches._asdict().items() if batch is not None
          for name, array in batch._asdict().items() if array is not None}


class GatherTest(absltest.TestCase):

  def test_window_of_the_second_episode(self):
    windows = sampling.Windows(np.array([1]), np.array([2]), np.array([[True, True, False]]))
    batch = pipeline.gather(_episodes([4, 6]), windows, 3, environment=2)
    # Episode 1 begins at index 5 and has its transitions at 5 .. 10.
    np.testing.assert_array_equal(batch.observations[..., 0], [[7, 8, 9, 10]])
    np.testing.assert_array_equal(batch.actions, [[3, 0, 1]])
    np.testing.assert_array_equal(batch.is_labelled, [[True] * 3])
    np.testing.assert_array_equal(batch.is_valid, [[True, True, False]])
    np.testing.assert_array_equal(batch.rewards, [[7, 8, 9]])
    np.testing.assert_array_equal(batch.returns_to_go, [[7 + 8 + 9 + 10, 8 + 9 + 10, 9 + 10]])
    np.testing.assert_array_equal(batch.environment, [2])

  def test_short_episode_repeats_its_last_observation(self):
    windows = sampling.Windows(np.array([0]), np.array([0]),
                               np.array([[True, True, False, False, False]]))
    batch = pipeline.gather(_episodes([2, 6]), windows, 5, environment=0)
    np.testing.assert_array_equal(batch.observations[..., 0], [[0, 1, 2, 2, 2, 2]])
    np.testing.assert_array_equal(batch.actions, [[0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(batch.is_labelled, [[True, True, False, False, False]])
    np.testing.assert_array_equal(batch.rewards, [[0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(batch.returns_to_go, [[1, 1, 0, 0, 0]])

  def test_types(self):
    windows = sampling.Windows(np.array([0]), np.array([0]), np.ones((1, 2), bool))
    batch = pipeline.gather(_episodes([4]), windows, 2, environment=0)
    self.assertEqual(
        [array.dtype for array in batch if array is not None],
        [np.float32, np.int32, bool, bool, np.float32, np.float32, np.int32])
    self.assertIsNone(batch.is_terminal)
    image = dataclasses.replace(_episodes([4]), observations=np.zeros((5, 2, 2, 3), np.uint8))
    batch = pipeline.gather(image, windows, 2, environment=0)
    self.assertEqual((batch.observations.dtype, batch.observations.shape),
                     (np.uint8, (1, 3, 2, 2, 3)))


class PipelineTest(parameterized.TestCase):

  def _pipeline(self, streams=None, **changes):
    arguments = dict(window=5, seed=0, num_shards=4, pool_size=8, start_step=0) | changes
    result = pipeline.Pipeline(_streams() if streams is None else streams, **arguments)
    self.addCleanup(result.close)
    return result

  def _assert_equal(self, a, b):
    a, b = _fields(a), _fields(b)
    self.assertEqual(list(a), list(b))
    for name in a:
      np.testing.assert_array_equal(a[name], b[name], err_msg=name)

  def test_parts_have_the_rows_of_their_streams(self):
    batches = next(self._pipeline())
    self.assertIsInstance(batches, types.Batches)
    self.assertIsNone(batches.dt)
    self.assertEqual(batches.idm.observations.shape, (12, 6, 2))
    self.assertEqual(batches.limited.actions.shape, (8, 5))
    self.assertCountEqual(batches.idm.environment.tolist(), [0] * 8 + [1] * 4)
    # The environment of a row is that of its data.
    np.testing.assert_array_equal(batches.idm.observations[:, 0, 0] >= 1000,
                                  batches.idm.environment == 1)
    self.assertTrue(batches.idm.is_labelled[batches.idm.is_valid].all())

  def test_resumed_pipeline_goes_on_as_the_unbroken_one(self):
    unbroken = self._pipeline()
    batches = [next(unbroken) for _ in range(12)]
    resumed = self._pipeline(start_step=7)
    for expected in batches[7:]:
      self._assert_equal(next(resumed), expected)

  def test_prefetch_does_not_change_the_batches(self):
    pipelines = [self._pipeline(prefetch=n) for n in (1, 5)]
    for _ in range(10):
      self._assert_equal(*map(next, pipelines))

  @parameterized.parameters(2, 4)
  def test_parts_of_the_hosts_are_the_batch_of_one_host(self, num_hosts):
    whole = self._pipeline()
    parts = [self._pipeline(host=host, num_hosts=num_hosts) for host in range(num_hosts)]
    for _ in range(5):
      found = [_fields(next(part)) for part in parts]
      for name, expected in _fields(next(whole)).items():
        np.testing.assert_array_equal(np.concatenate([f[name] for f in found]), expected)

  def test_stream_does_not_depend_on_the_others(self):
    streams = _streams()
    alone = self._pipeline(streams[2:])
    together = self._pipeline(streams[::-1])
    for _ in range(5):
      a, b = next(alone).limited, next(together).limited
      for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)

  def test_seeds_parts_and_environments_have_their_own_order(self):
    episodes = _episodes([10] * 8)
    segments = sampling.whole_episodes(episodes.num_transitions)
    streams = [pipeline.Stream(part, episodes, segments, environment, 8)
               for part in ('idm', 'dt') for environment in (0, 1)]
    orders = []
    for seed in (0, 1):
      described = self._pipeline(streams, seed=seed).describe(0)
      for rows in described.values():
        for environment in (0, 1):
          orders.append(tuple((r['episode'], r['start']) for r in rows
                              if r['environment'] == environment))
    self.assertLen(set(orders), 8)

  @parameterized.parameters((0, 1), (1, 2))
  def test_describe_names_the_rows_of_a_batch(self, host, num_hosts):
    streams = _streams()
    batches = self._pipeline(start_step=3, host=host, num_hosts=num_hosts)
    described = batches.describe(3)
    batch = next(batches)
    self.assertEqual(list(described), ['idm', 'limited'])
    for part, rows in described.items():
      first = []
      for row in rows:
        episodes = streams[0 if row['environment'] == 0 else 1].episodes
        first.append(episodes.observations[episodes.first_step[row['episode']] + row['start']])
      np.testing.assert_array_equal(getattr(batch, part).observations[:, 0], first)
      self.assertEqual([r['environment'] for r in rows],
                       getattr(batch, part).environment.tolist())

  def test_hidden_actions_do_not_reach_a_batch(self):
    batches = self._pipeline()
    for _ in range(20):
      limited = next(batches).limited
      self.assertFalse(limited.actions[~limited.is_labelled].any())

  def test_error_of_the_thread_is_raised_again_and_again(self):
    stream = _streams()[0]
    broken = dataclasses.replace(stream.episodes, observations=stream.episodes.observations[:3])
    batches = self._pipeline([stream._replace(episodes=broken)])
    for _ in range(3):
      with self.assertRaises(IndexError):
        next(batches)

  def test_closed_pipeline_is_at_its_end(self):
    batches = self._pipeline()
    next(batches)
    batches.close()
    self.assertEmpty(list(batches))

  def test_wait_is_measured(self):
    batches = self._pipeline()
    self.assertEqual(batches.wait_seconds, 0.)
    next(batches)
    first = batches.wait_seconds
    self.assertGreater(first, 0.)
    next(batches)
    self.assertGreater(batches.wait_seconds, first)

  @parameterized.named_parameters(
      ('none', lambda s: [], {}, 'There are no streams'),
      ('part', lambda s: [s[0]._replace(part='idn')], {}, "part is 'idn'; expected one of"),
      ('twice', lambda s: [s[0], s[0]], {}, "There are 2 streams for part 'idm' of environment 0"),
      ('rows', lambda s: [s[0]._replace(rows=6)], {},
       "Stream 'idm' of environment 0: rows is 6; expected a multiple of num_shards 4"),
      ('shards', lambda s: [s[1]._replace(rows=8)], dict(num_shards=8),
       "Stream 'idm' of environment 1: num_shards is 8; there are only 6 segments"),
      ('hosts', lambda s: s, dict(num_hosts=3), 'num_hosts is 3; expected a divisor'),
      ('step', lambda s: s, dict(start_step=-1), 'step is -1'),
      ('prefetch', lambda s: s, dict(prefetch=0), 'prefetch is 0'))
  def test_impossible_numbers_are_refused_at_once(self, change, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      self._pipeline(change(_streams()), **arguments)


if __name__ == '__main__':
  absltest.main()
