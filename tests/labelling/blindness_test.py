"""Agents that look, and agents that do not, on windows whose images are exchanged."""

import collections
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from alpt_jax import action_space
from alpt_jax.data import episodes as episodes_lib
from alpt_jax.labelling import blindness

NUM_ACTIONS, WINDOW = 4, 5
Logits = collections.namedtuple('Logits', 'actions')
SPEC = types.SimpleNamespace(
    return_low=0, return_high=1, actions=action_space.numbered(NUM_ACTIONS))


def make_episodes(num_episodes, length, known=None):
  """An observation shows the action that is taken then."""
  rng = np.random.default_rng(0)
  actions = rng.integers(NUM_ACTIONS, size=(num_episodes, length + 1)).astype(np.int32)
  is_labelled = np.ones(actions.shape, bool)
  is_labelled[:, -1] = False
  if known is not None:
    is_labelled[:, known:] = False
  first = np.arange(num_episodes) * (length + 1)
  flat = actions.ravel()
  return episodes_lib.InMemory(
      flat[:, None].astype(np.float32), flat * is_labelled.ravel(),
      np.zeros(len(flat), np.float32), is_labelled.ravel(), first, np.full(num_episodes, length))


class Agent:
  """Predicts the action it sees with probability `sure`, or the one before it in the window."""
  spec = SPEC

  def __init__(self, looks, sure):
    self._looks, self._sure = looks, sure

  def apply(self, variables, observations, returns, actions, rewards):
    del variables, returns, rewards
    said = observations[..., 0].astype(jnp.int32) if self._looks else jnp.roll(actions, 1, axis=1)
    rest = (1 - self._sure) / (NUM_ACTIONS - 1)
    return Logits(jnp.log(jnp.where(jax.nn.one_hot(said, NUM_ACTIONS) > 0, self._sure, rest)))


def trained(agent):
  config = types.SimpleNamespace(window=WINDOW)
  return blindness.TrainedDt(config, agent, {}, 7)


class BlindnessTest(absltest.TestCase):

  def test_agent_that_looks(self):
    found = blindness.measure(trained(Agent(True, .7)), make_episodes(12, 60), range(12))
    self.assertIs(found.is_blind, False)
    self.assertAlmostEqual(found.loss, -math.log(.7), places=5)
    # Another image shows the action by chance only.
    self.assertAlmostEqual(found.exchanged_loss, -.25 * math.log(.7) - .75 * math.log(.1), delta=.1)
    self.assertEqual(found.num_windows, 12 * 12)

  def test_agent_that_knows_actions_only_is_blind_whatever_its_loss(self):
    found = blindness.measure(trained(Agent(False, .7)), make_episodes(12, 60), range(12))
    self.assertIs(found.is_blind, True)
    self.assertEqual((found.rise.value, found.loss), (0., found.exchanged_loss))

  def test_draws_as_many_windows_as_asked(self):
    found = blindness.measure(
        trained(Agent(True, .7)), make_episodes(12, 60), range(12), num_windows=70)
    self.assertBetween(found.num_windows, 40, 70)

  def test_only_windows_whose_actions_are_known(self):
    found = blindness.measure(trained(Agent(True, .7)), make_episodes(3, 60, known=42), range(3))
    # Eight windows of five fit into 42; those beginning at 15 and 20 have none that is far away.
    self.assertEqual(found.num_windows, 3 * 6)

  def test_refuses_short_episodes(self):
    with self.assertRaisesRegex(ValueError, 'more than 20 steps apart'):
      blindness.measure(trained(Agent(True, .7)), make_episodes(3, 20), range(3))


if __name__ == '__main__':
  absltest.main()
