"""Episodes in lockstep, of an emulator small enough to play by hand."""

import types

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space
from alpt_jax.domains import play
from alpt_jax.learners import acting
from alpt_jax.measures import play as measures
from tests.data import corridor


class Cells:
  """An emulator of a row of 5 cells: action 1 moves right, 0 stays; reward 3 at the last cell.

  An episode starts at its seed, modulo 4, and is the same whoever played before.
  """

  def reset(self, seed):
    self._cell = int(seed) % 4
    return np.array([0, self._cell], np.int32)

  def send(self, action):
    self._cell += int(action)

  def receive(self):
    is_over = self._cell == 4
    return np.array([0, self._cell], np.int32), 3. * is_over, is_over


class Keys(Cells):
  """The same, of two parts: a key by which one moves, and a number that nothing comes of."""

  def send(self, action):
    self._cell += int(action[0])
    self.sent = action


class PartsPlayer:
  """Chooses a class of each part by where it is: the parameters [5, P]."""
  modes, about = acting.MODES, {'acting_rule': 'table'}

  def __init__(self, space):
    self.spec = types.SimpleNamespace(actions=space)

  def is_chance(self, is_greedy):
    return False

  def empty_history(self, params, frames):
    return jnp.zeros(len(frames))

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    return params[frames[:, 1]], history + rewards


RIGHT, STAY = (measures.always(action, 2).astype(np.float32) for action in (1, 0))


def make_evaluator(num_episodes=6, max_steps=9, is_chance=True):
  spec = types.SimpleNamespace(actions=action_space.numbered(2))
  return play.Evaluator(play.BlindPlayer(spec), Cells, num_episodes=num_episodes,
                        max_steps=max_steps, is_chance=is_chance)


class EvaluatorTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.starts = play.episode_seeds(7, 6) % 4
    self.assertGreater(len(set(self.starts)), 1)

  def test_counts_what_every_episode_does(self):
    scores, episodes = make_evaluator().run(RIGHT, acting_mode='argmax', seed=7, record_episodes=6)
    self.assertEqual(scores['lengths'], (4 - self.starts).tolist())
    self.assertEqual((scores['scores'], scores['score'], scores['num_cut']), ([3.] * 6, 3., 0))
    self.assertEqual((scores['most_frequent_action'], scores['most_frequent_share']), (1, 1.))
    self.assertEqual(scores['longest_run'], 4 - self.starts.min())
    for episode in episodes:
      start = self.starts[episode['episode']]
      np.testing.assert_array_equal(episode['observations'][:, 1], np.arange(start, 4))
      np.testing.assert_array_equal(episode['actions'], np.ones(4 - start))

  def test_cuts_what_does_not_end(self):
    scores, _ = make_evaluator().run(STAY, acting_mode='argmax', seed=7)
    self.assertEqual((scores['lengths'], scores['scores'], scores['num_cut']),
                     ([9] * 6, [0.] * 6, 6))

  @parameterized.parameters(
      (True, 'argmax', 6), (False, 'argmax', 1), (True, 'sampled', 6), (False, 'sampled', 6))
  def test_plays_one_episode_where_all_are_equal(self, is_chance, acting_mode, expected):
    scores, _ = make_evaluator(is_chance=is_chance).run(RIGHT, acting_mode=acting_mode, seed=7)
    self.assertEqual(scores['num_episodes'], expected)

  def test_a_seed_decides_everything(self):
    half = np.full((3, 2), .5, np.float32)
    first, again, other = (make_evaluator(max_steps=60).run(half, seed=seed)[0]
                           for seed in (7, 7, 8))
    self.assertEqual(first, again)
    self.assertNotEqual(first['lengths'], other['lengths'])

  def test_actions_of_several_parts_are_sent_as_values(self):
    turn = action_parts.Continuous('turn', -1., 1., num_bins=2)
    space = action_space.Parts((action_parts.Binary('go'), action_parts.Binary('other'), turn),
                               (action_parts.Binary('go'), None, turn))
    agent = play.Evaluator(PartsPlayer(space), Keys, num_episodes=6, max_steps=9, is_chance=True)
    scores, episodes = agent.run(jnp.array([[1, 2, 0]] * 3 + [[1, 2, 1]] * 2), seed=7,
                                 acting_mode='argmax', record_episodes=6)
    self.assertEqual(scores['lengths'], (4 - self.starts).tolist())
    for episode in episodes:
      start = self.starts[episode['episode']]
      expected = [[1, 0, -.5]] * (3 - start) + [[1, 0, .5]]
      np.testing.assert_array_equal(episode['actions'], np.array(expected, np.float32))
    num_left = (3 - self.starts).sum()
    num_steps = (4 - self.starts).sum()
    self.assertGreater(num_left, num_steps / 2)
    self.assertEqual(scores['most_frequent_action'], {'go': 1., 'turn': -.5})
    self.assertEqual(scores['most_frequent_share'], num_left / num_steps)
    self.assertEqual(scores['longest_run'], 3 - self.starts.min())

  @parameterized.parameters(
      (dict(num_episodes=0), 'num_episodes is 0; expected at least 1'),
      (dict(max_steps=-1), 'max_steps is -1; expected at least 1'))
  def test_refuses_numbers_that_play_nothing(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      make_evaluator(**settings)

  def test_refuses_a_network_of_something_else(self):
    network = types.SimpleNamespace(spec=corridor.spec('grid'))
    with self.assertRaisesRegex(ValueError, r'observation_kind of the model \(corridor-8\) is grid;'
                                            ' corridor-8 has vector'):
      play.check_spec(network, corridor.spec())


if __name__ == '__main__':
  absltest.main()
