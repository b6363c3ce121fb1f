"""Every transition gets the votes of all windows that hold it, and of no others."""

import threading
import time
from concurrent import futures

import jax
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_space, types
from alpt_jax.data import episodes as episodes_lib
from alpt_jax.labelling import votes
from alpt_jax.learners import alpt
from alpt_jax.networks import inverse_dynamics
from alpt_jax.training import sharding
from tests import exhaustive
from tests.training import label_windows_test

T = 5
SPEC = types.EnvironmentSpec(
    name='test', observation_key='', observation_kind='image', observation_shape=(4, 4, 1),
    actions=action_space.numbered(4, legal=(0, 1, 3)), return_low=0, return_high=4)


class Differences:
  """Votes as a perfect IDM would: a step of the walk says its action."""
  space = action_space.numbered(4)

  def __init__(self, rows):
    self.rows, self.num_windows, self.num_frames = rows, 0, 0

  def start(self, params, frame, window):
    del params
    return np.zeros((window, *frame.shape), frame.dtype)

  def __call__(self, params, stream, frames, num_frames, first):
    del params
    window = len(stream)
    self.num_frames += num_frames
    stream = np.concatenate([stream, frames])
    assert (first >= 0).all() and (first + window < len(stream)).all()
    actions = np.diff(stream[first[:, None] + np.arange(window + 1)][..., 0], axis=1)
    probabilities = np.eye(self.space.num, dtype=np.float32)[np.clip(actions.astype(int), 0, 3)]
    return probabilities, stream[num_frames:num_frames + window]


class Shuffled(futures.ThreadPoolExecutor):
  """Finishes what is submitted in another order than it came."""

  def submit(self, fn, *args):
    delay = .002 * (self._work_queue.qsize() % 2)

    def late():
      time.sleep(delay)
      return fn(*args)

    return super().submit(late)


def images(lengths, seed=0):
  """Episodes of random images."""
  rng = np.random.default_rng(seed)
  first_step = np.cumsum([0, *(n + 1 for n in lengths[:-1])])
  n = sum(lengths) + len(lengths)
  return episodes_lib.InMemory(
      rng.integers(0, 256, (n, *SPEC.observation_shape), np.uint8), np.zeros(n, np.int32),
      np.zeros(n, np.float32), np.zeros(n, bool), first_step, np.array(lengths))


def make_idm(change_tokens, kind='patch'):
  """A small IDM with large random parameters."""
  idm = inverse_dynamics.InverseDynamicsModel(
      SPEC, num_layers=1, num_heads=2, d_model=8, patch_size=2, change_tokens=change_tokens,
      tokenizer_kind=kind)
  shape = jax.eval_shape(idm.init, jax.random.key(0), np.zeros((1, T + 1, *SPEC.observation_shape),
                                                               np.uint8))
  rng = np.random.default_rng(0)
  return idm, jax.tree.map(lambda x: rng.normal(scale=.7, size=x.shape).astype(np.float32),
                           shape['params'])


class WindowsTest(parameterized.TestCase):

  @parameterized.parameters(
      (3, 5, 1, [0], [[1, 1, 1, 0, 0]]),  # Shorter than a window.
      (5, 5, 3, [0], [[1] * 5]),
      (7, 5, 1, [0, 1, 2], [[1] * 5] * 3),
      (7, 5, 5, [0, 2], [[1] * 5, [0, 0, 0, 1, 1]]),  # The paper's: each transition once.
      (9, 5, 3, [0, 3, 4], [[1] * 5, [1] * 5, [0, 0, 0, 0, 1]]))
  def test_windows_by_hand(self, length, window, stride, start, is_counted):
    found = votes.windows_of(length, window, stride)
    np.testing.assert_array_equal(found.start, start)
    np.testing.assert_array_equal(found.is_counted, np.array(is_counted, bool))

  @parameterized.parameters(0, 6, -1)
  def test_refuses_a_stride_that_leaves_transitions_out(self, stride):
    with self.assertRaisesRegex(ValueError, f'stride is {stride}; expected 1'):
      votes.windows_of(9, 5, stride)

  def test_every_transition_has_as_many_votes_as_windows_hold_it(self):
    rng = np.random.default_rng(0)
    for _ in range(300):
      length, window = rng.integers(1, 40), rng.integers(1, 8)
      stride = rng.integers(1, window + 1)
      start, is_counted = votes.windows_of(length, window, stride)
      votes_of = np.zeros(length + window, int)
      np.add.at(votes_of, start[:, None] + np.arange(window), is_counted)
      self.assertFalse(votes_of[length:].any())
      self.assertTrue((votes_of[:length] >= 1).all())
      if stride == window:
        self.assertTrue((votes_of[:length] == 1).all())
      if stride == 1 and length >= window:
        place = np.arange(length)
        np.testing.assert_array_equal(votes_of[:length], np.minimum.reduce(
            [place + 1, length - place, np.full(length, window),
             np.full(length, length - window + 1)]))


class PredictTest(parameterized.TestCase):

  def test_right_frames_in_random_datasets_whatever_is_read_first(self):
    rng = np.random.default_rng(0)
    for trial in range(exhaustive.num_of(1000)):
      lengths = rng.integers(1, 30, rng.integers(1, 12)).tolist()
      stride, rows = int(rng.integers(1, T + 1)), int(rng.integers(1, 12))
      data, numbers = label_windows_test.walk(lengths), rng.permutation(len(lengths))
      with Shuffled(1 + trial % 4) as pool:
        found = list(votes.predict(Differences(rows), None, data, numbers, window=T, stride=stride,
                                   pool=pool if trial % 10 == 0 else None))
      self.assertEqual([vote.episode for vote in found], numbers.tolist())
      for vote in found:
        first = data.first_step[vote.episode]
        truth = data.actions[first:first + lengths[vote.episode]]
        np.testing.assert_array_equal(vote.probabilities, np.eye(4)[truth])

  @parameterized.parameters(1, 2, 5)
  def test_windows_and_frames_are_computed_once(self, stride):
    lengths = [9, 30, 5, 17]
    vote_fn = Differences(rows=4)
    list(votes.predict(
        vote_fn, None, label_windows_test.walk(lengths), range(4), window=T, stride=stride))
    self.assertEqual(vote_fn.num_frames, sum(lengths) + len(lengths))

  @parameterized.parameters(
      (1, False), (3, False), (5, False), (1, True), (3, True), (5, True), (1, False, 'conv'),
      (1, True, 'conv'), (5, True, 'conv'), (1, False, 'patch', 1), (3, True, 'patch', 1),
      (5, False, 'patch', 1), (5, True, 'conv', 1))
  def test_mean_of_what_the_idm_says_of_each_window(
      self, stride, change_tokens, kind='patch', microbatch=0):
    idm, params = make_idm(change_tokens, kind)
    data, mesh = images([3, 12, 5, 8]), sharding.make_mesh(num_devices=2)
    vote_fn = votes.VoteFn(idm, SPEC, mesh, rows=4, microbatch=microbatch)
    found = list(votes.predict(vote_fn, params, data, [2, 1, 0, 3], window=T, stride=stride,
                               temperature=2.))
    apply = jax.jit(idm.apply)
    legal = np.asarray(alpt.legal_actions([SPEC]))
    for vote in found:
      length = data.num_transitions[vote.episode]
      sums = np.zeros((length + T, 4))
      windows = votes.windows_of(length, T, stride)
      for start, is_counted in zip(*windows, strict=True):
        cut = data.cut(np.array([vote.episode]), np.array([start]), T)
        logits = np.where(legal, apply({'params': params}, cut.observations)[0], -np.inf)
        own = np.exp(logits - logits.max(axis=1, keepdims=True))
        sums[start:start + T] += own / own.sum(axis=1, keepdims=True) * is_counted[:, None]
      counts = np.zeros(length + T, int)
      np.add.at(counts, windows.start[:, None] + np.arange(T), windows.is_counted)
      np.testing.assert_array_equal(vote.num_votes, counts[:length])
      roots = np.sqrt(sums[:length] / counts[:length, None])  # Of the mean, at temperature 2.
      np.testing.assert_allclose(
          vote.probabilities, roots / roots.sum(axis=1, keepdims=True), rtol=2e-4, atol=1e-6)
      np.testing.assert_array_equal(vote.probabilities[:, 2], 0)  # Not legal.

  @parameterized.parameters(1, 3, 5)
  def test_votes_on_a_group_have_the_same_bits_whatever_comes_before_it(self, stride):
    idm, params = make_idm(change_tokens=True)
    vote_fn = votes.VoteFn(idm, SPEC, sharding.make_mesh(num_devices=1), rows=4)
    groups = [(images([3, 12, 5, 8]), [2, 1, 0]), (images([7], seed=1), [0]),
              (images([2, 30], seed=2), [0, 1]), (images([4], seed=3), [])]
    alone = [vote for group in groups
             for vote in votes.predict(vote_fn, params, *group, window=T, stride=stride)]
    together = list(votes.predict_groups(vote_fn, params, groups, window=T, stride=stride))
    self.assertLen(together, 6)
    for expected, found in zip(alone, together, strict=True):
      self.assertEqual(found.episode, expected.episode)
      self.assertEqual(found.probabilities.tobytes(), expected.probabilities.tobytes())
      np.testing.assert_array_equal(found.num_votes, expected.num_votes)

  @parameterized.parameters('group', 'frame')
  def test_what_cannot_be_read_comes_after_the_votes_on_what_can(self, kind):
    before = threading.active_count()

    class Damaged:
      num_transitions = np.array([6])

      def frames(self, *unused):
        raise ValueError('damaged')

    def groups():
      for _ in range(5):
        yield label_windows_test.walk([6, 7]), [0, 1]
      if kind == 'group':
        raise ValueError('damaged')
      yield Damaged(), [0]

    found = []
    with self.assertRaisesRegex(ValueError, 'damaged'):
      for vote in votes.predict_groups(Differences(4), None, groups(), window=T):
        found.append(vote.episode)
    self.assertEqual(found, [0, 1] * 5)
    self.assertEqual(threading.active_count(), before)

  def test_who_stops_asking_leaves_no_thread(self):
    before = threading.active_count()
    asked = votes.predict(Differences(2), None, label_windows_test.walk([30, 30]), [0, 1], window=T)
    next(asked)
    asked.close()
    self.assertEqual(threading.active_count(), before)

  @parameterized.parameters(1e-40, 1e-3, 1e39)
  def test_no_temperature_makes_an_illegal_action_probable(self, temperature):
    data = label_windows_test.walk([8])
    vote, = votes.predict(Differences(4), None, data, [0], window=T, temperature=temperature)
    np.testing.assert_allclose(vote.probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(vote.probabilities, np.eye(4)[data.actions[:8]])

  def test_refuses_an_episode_twice(self):
    with self.assertRaisesRegex(ValueError, 'expected every episode once'):
      list(votes.predict(Differences(4), None, label_windows_test.walk([5, 6]), [1, 1], window=T))


if __name__ == '__main__':
  absltest.main()
