"""A DT as a labeller: what it is told, what it is not, and that it goes through whole episodes."""

import collections
import types
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from alpt_jax import action_space
from alpt_jax.data import episodes as episodes_lib
from alpt_jax.data import labels
from alpt_jax.labelling import blindness, dt_labels, trained_run
from alpt_jax.networks import decision_transformer, discretize
from alpt_jax.types import EnvironmentSpec

WINDOW = 5
SPEC = EnvironmentSpec(
    name='Play', observation_key='', observation_kind='vector', observation_shape=(3,),
    actions=action_space.numbered(5, legal=(0, 1, 3, 4)), return_low=0, return_high=9,
    observation_low=-4., observation_high=4.)
Logits = collections.namedtuple('Logits', 'actions')


def make_episodes(lengths, seed=0):
  rng = np.random.default_rng(seed)
  steps = np.array(lengths) + 1
  first = np.cumsum(steps) - steps
  num = int(steps.sum())
  is_labelled = np.ones(num, bool)
  is_labelled[first + lengths] = False
  actions = rng.choice(SPEC.legal_actions, num).astype(np.int32) * is_labelled
  return episodes_lib.InMemory(
      rng.normal(size=(num, 3)).astype(np.float32), actions,
      rng.integers(-1, 2, num).astype(np.float32) * is_labelled, is_labelled, first,
      np.array(lengths))


class Counter:
  """Says the action after the one that it was told last; 0 tells of no action, too."""
  spec = SPEC

  def apply(self, variables, observations, returns, actions, rewards):
    del variables, observations, returns, rewards
    last = jnp.concatenate([jnp.zeros_like(actions[:, :1]), actions[:, :-1]], axis=1)
    return Logits(jax.nn.one_hot((last + 1) % SPEC.num_actions, SPEC.num_actions)
                  + .5 * jax.nn.one_hot((last + 2) % SPEC.num_actions, SPEC.num_actions))


class DtLabelsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.lengths = [13, 4, 9, 13, 1, 6]
    self.truth = make_episodes(self.lengths)
    self.windows = np.array([[0, 2], [2, 4]])

  def label(self, dt, params=None, truth=None, num_transitions=10_000):
    """Labels from a run of the windows: {(episode, timestep): (label, truth)}."""
    config = types.SimpleNamespace(window=WINDOW, target='Play', data_dir='')
    trained = blindness.TrainedDt(config, dt, params or {}, 7)
    known = trained_run.Known(False, labels.Choice(self.windows, 10, WINDOW, 0), 'labels.json')
    with mock.patch.object(trained_run, 'known', return_value=known):
      found = dt_labels.label(
          trained, truth or self.truth, 'run', num_transitions=num_transitions)
    return {(e, t): (said, true) for e, t, said, true in zip(*map(np.ndarray.tolist, found),
                                                             strict=True)}

  def hidden(self):
    known = {(e, s + t) for e, s in self.windows.tolist() for t in range(WINDOW)}
    return {(e, t) for e, length in enumerate(self.lengths) for t in range(length)} - known

  def test_past_actions_are_own_labels_and_those_that_training_knew(self):
    found = self.label(Counter())
    self.assertEqual(set(found), self.hidden())
    actions = {e: self.truth.actions_of(e)[0].tolist() for e in range(len(self.lengths))}
    is_known = lambda e, t: (e, t) not in self.hidden()  # noqa: E731
    for e, length in enumerate(self.lengths):
      told = 0
      for t in range(length):
        said = (told + 1) % 5
        said = 3 if said == 2 else said  # 2 is not legal, and what follows it is second best.
        if not is_known(e, t):
          self.assertEqual(found[e, t], (said, actions[e][t]), msg=f'{e}, {t}')
        told = actions[e][t] if is_known(e, t) else said

  def test_number_of_transitions_draws_whole_episodes(self):
    found = self.label(Counter(), num_transitions=5)
    numbers = {e for e, _ in found}
    self.assertEqual(set(found), {(e, t) for e, t in self.hidden() if e in numbers})
    self.assertLess(len(numbers), 6)

  def _network(self):
    dt = decision_transformer.DecisionTransformer(
        spec=SPEC, num_steps=WINDOW, num_layers=2, num_heads=2, d_model=16)
    cut = self.truth.cut(np.array([0]), np.array([0]), WINDOW)
    ids = jnp.zeros((1, WINDOW), jnp.int32)
    params = dt.init(jax.random.key(0), cut.observations[:, :-1], ids, ids, ids)['params']
    # Larger than at the start of training, so that labels depend on what is seen.
    return dt, jax.tree.map(lambda x: 20 * x if x.ndim > 1 else x, params)

  def test_labels_are_those_of_acting_one_step_at_a_time(self):
    dt, params = self._network()
    with mock.patch.multiple(dt_labels, _CHUNK=3, _ROWS=4):
      found = self.label(dt, params)
    self.assertGreater(len({said for said, _ in found.values()}), 1)
    legal = np.isin(np.arange(5), SPEC.legal_actions)
    for e in (0, 2, 4):
      actions, told = self.truth.actions_of(e)[0], []
      for t in range(self.lengths[e]):
        start = max(t - WINDOW + 1, 0)
        cut = self.truth.cut(np.array([e]), np.array([start]), WINDOW)
        slot = t - start
        seen = cut.observations[:, :-1].copy()
        seen[:, slot + 1:] = 4.  # Nothing of what comes later.
        past = np.zeros((1, WINDOW), np.int32)
        past[0, :slot] = told[start:]
        rewards = np.where(np.arange(WINDOW) < slot, cut.rewards, 0)
        returns = discretize.encode_return(cut.returns_to_go, low=0, high=9)
        _, caches = dt.apply(
            {'params': params}, seen, np.where(np.arange(WINDOW) < slot, returns, 0), past,
            discretize.encode_reward(rewards), slot, method='predict_return')
        logits = dt.apply({'params': params}, returns[:, slot], caches, slot,
                          method='predict_action')
        said = int(np.where(legal, logits[0], -np.inf).argmax())
        is_hidden = (e, t) in found
        if is_hidden:
          self.assertEqual(found[e, t][0], said, msg=f'{e}, {t}')
        told.append(said if is_hidden else actions[t])

  def test_hidden_actions_and_later_observations_do_not_matter(self):
    dt, params = self._network()
    before = self.label(dt, params)
    actions, observations = self.truth.actions.copy(), self.truth.observations.copy()
    for e, t in self.hidden():
      actions[self.truth.first_step[e] + t] = 4
    late = self.truth.first_step[0] + 8
    observations[late:self.truth.first_step[1]] = 3.
    other = episodes_lib.InMemory(observations, actions, self.truth.rewards,
                                  self.truth.is_labelled, self.truth.first_step,
                                  self.truth.num_transitions)
    after = self.label(dt, params, other)
    for place in before:
      if place[0] or place[1] < 8:
        self.assertEqual(before[place][0], after[place][0], msg=str(place))


if __name__ == '__main__':
  absltest.main()
