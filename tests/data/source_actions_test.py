"""Sources whose actions are permuted or renamed: only their actions change, and only as said."""

import collections
import dataclasses
import types as python_types
import zlib

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space, domains, methods
from alpt_jax.data import episode_files, episodes, pipeline, source_actions
from alpt_jax.domains import study as studies
from alpt_jax.domains.atari import action_sets
from alpt_jax.training import inputs, run_config
from experiments.configs import atari, maze, own
from experiments.studies import runs
from tests import atari_runs, maze_data
from tests.data import atari_data, corridor

_LENGTHS = np.array([30, 1, 40])


def make_episodes(actions, is_labelled=None):
  """Episodes of 30, 1 and 40 transitions in memory; steps are told apart by their numbers."""
  num_steps = int((_LENGTHS + 1).sum())
  first = np.cumsum([0, *(_LENGTHS[:-1] + 1)])
  known = np.ones(num_steps, bool) if is_labelled is None else is_labelled.copy()
  known[first + _LENGTHS] = False
  return episodes.InMemory(
      observations=np.arange(num_steps, dtype=np.float32)[:, None],
      actions=np.where(known, actions, 0).astype(np.int32),
      rewards=np.arange(num_steps, dtype=np.float32), is_labelled=known,
      first_step=first, num_transitions=_LENGTHS)


def some_actions():
  return np.random.default_rng(7).integers(1, 4, int((_LENGTHS + 1).sum()))


def specs_of(*games):
  return [action_sets.spec(game) for game in games]


def change(mode, data, *, seed=0, games=('Breakout', 'Freeway')):
  return source_actions.change(mode, data, specs_of(*games), 1, seed=seed)


class PermutedTest(absltest.TestCase):

  def test_actions_change_places_within_their_episode_and_nothing_else_changes(self):
    target, source = make_episodes(some_actions()), make_episodes(some_actions())
    found = change('permuted', {'Breakout': target, 'Freeway': source})
    self.assertEqual(list(found), ['Breakout', 'Freeway'])
    self.assertIs(found['Breakout'], target)
    for field in ('observations', 'rewards', 'is_labelled', 'first_step', 'num_transitions',
                  'returns_to_go'):
      np.testing.assert_array_equal(getattr(found['Freeway'], field), getattr(source, field))
    for episode in range(3):
      before, after = (data.actions_of(episode)[0] for data in (source, found['Freeway']))
      self.assertEqual(collections.Counter(before.tolist()), collections.Counter(after.tolist()))
      self.assertEqual(np.array_equal(before, after), episode == 1)  # One transition stays.

  def test_known_actions_stay_where_actions_are_known(self):
    is_known = np.arange(int((_LENGTHS + 1).sum())) % 3 > 0
    source = make_episodes(some_actions(), is_known)
    after = change('permuted', {'Freeway': source})['Freeway']
    self.assertTrue((after.actions[~after.is_labelled] == 0).all())
    self.assertTrue((after.actions[after.is_labelled] > 0).all())

  def test_seed_source_and_episode_decide(self):
    def actions(seed, name='Freeway'):
      return change('permuted', {name: make_episodes(some_actions())}, seed=seed,
                    games=('Breakout', 'Freeway', 'Pong'))[name].actions

    np.testing.assert_array_equal(actions(3), actions(3))
    self.assertFalse(np.array_equal(actions(3), actions(4)))
    self.assertFalse(np.array_equal(actions(3), actions(3, 'Pong')))
    same = np.tile(np.arange(1, 31), 3)  # Two episodes that begin alike.
    after = change('permuted', {'Freeway': make_episodes(
        same[:int((_LENGTHS + 1).sum())])})['Freeway']
    self.assertFalse(np.array_equal(after.actions_of(0)[0], after.actions_of(2)[0][:30]))

  def test_episodes_on_disk_are_changed_as_those_in_memory(self):
    recorded = episode_files.EpisodeFiles(
        [atari_data.recorded()[1]], action_sets.spec(atari_data.GAME))
    games = ('Freeway', atari_data.GAME)
    found = change('permuted', {atari_data.GAME: recorded}, games=games)[atari_data.GAME]
    actions = [recorded.actions_of(episode)[0] for episode in range(recorded.num_episodes)]
    lengths = recorded.num_transitions
    first = np.cumsum(lengths + 1) - lengths - 1
    num_steps = int((lengths + 1).sum())
    is_known = np.ones(num_steps, bool)
    is_known[first + lengths] = False
    in_memory = change('permuted', {atari_data.GAME: episodes.InMemory(
        observations=np.zeros((num_steps, 1), np.float32), rewards=np.zeros(num_steps, np.float32),
        actions=np.concatenate([np.append(some, 0) for some in actions]).astype(np.int32),
        is_labelled=is_known, first_step=first, num_transitions=lengths)}, games=games)
    for episode, before in enumerate(actions):
      after, _ = found.actions_of(episode)
      self.assertEqual(sorted(before.tolist()), sorted(after.tolist()))
      np.testing.assert_array_equal(
          after, in_memory[atari_data.GAME].actions_of(episode)[0])
    self.assertTrue(any((found.actions_of(episode)[0] != before).any()
                        for episode, before in enumerate(actions)))
    cuts = [data.cut(np.array([1]), np.array([0]), 5) for data in (recorded, found)]
    for field in ('observations', 'rewards', 'returns_to_go', 'is_labelled'):
      np.testing.assert_array_equal(*(getattr(cut, field) for cut in cuts))
    np.testing.assert_array_equal(cuts[1].actions[0], found.actions_of(1)[0][:5])


  def test_draws_are_those_of_numpy(self):
    after = change('permuted', {'Freeway': make_episodes(some_actions())}, seed=3)['Freeway']
    for episode in range(3):
      rng = np.random.default_rng([3, zlib.crc32(b'Freeway'), episode])
      np.testing.assert_array_equal(
          after.actions_of(episode)[0],
          rng.permutation(make_episodes(some_actions()).actions_of(episode)[0]))

  def test_parts_of_a_step_move_together(self):
    whole = make_episodes(some_actions())
    rng = np.random.default_rng(0)
    is_known = whole.is_labelled[:, None] & (rng.random((len(whole.actions), 3)) < .6)
    number = np.arange(1, len(whole.actions) + 1, dtype=np.float32)[:, None]  # Of the step.
    source = dataclasses.replace(
        whole, actions=np.where(is_known, number, 0), is_labelled=is_known)
    after = change('permuted', {'Freeway': source})['Freeway']
    for episode in range(3):
      (before, was_known), (moved, is_known) = (
          data.actions_of(episode) for data in (source, after))
      steps = moved.max(axis=1)
      np.testing.assert_array_equal(moved, np.where(is_known, steps[:, None], 0))
      self.assertEqual(sorted(steps), sorted(before.max(axis=1)))
      first = int(source.first_step[episode]) + 1
      for t in np.flatnonzero(steps):
        np.testing.assert_array_equal(is_known[t], was_known[int(steps[t]) - first])
      np.testing.assert_array_equal(steps > 0, was_known.any(axis=1))
    self.assertFalse(np.array_equal(after.actions, source.actions))

  def test_parts_have_no_other_ids(self):
    spec = dataclasses.replace(
        corridor.spec(), actions=action_space.Parts((action_parts.Binary('x'),)))
    with self.assertRaisesRegex(ValueError, "'renamed', and corridor-8 has actions of several"):
      source_actions.of_specs('renamed', [spec, spec], 1)


class RenamedTest(absltest.TestCase):

  def test_every_action_of_a_source_gets_an_id_that_the_target_lacks(self):
    # Breakout has 0, 1, 3, 4, Freeway 0, 2, 5: its NOOP becomes 2, UP 5, DOWN 6.
    breakout, freeway = source_actions.of_specs('renamed', specs_of('Breakout', 'Freeway'), 1)
    self.assertEqual(breakout, action_sets.spec('Breakout'))
    self.assertEqual((freeway.legal_actions, freeway.stored_actions), ((2, 5, 6), (2, 5, 6)))
    self.assertEqual(freeway.num_actions, 18)
    old = np.resize([0, 2, 5, 5], int((_LENGTHS + 1).sum()))
    source = make_episodes(old)
    after = change('renamed', {'Freeway': source})['Freeway']
    self.assertEqual(after.actions_of(0)[0][:4].tolist(), [2, 5, 6, 6])
    np.testing.assert_array_equal(
        after.actions, np.where(source.is_labelled, np.resize([2, 5, 6, 6], len(old)), 0))

  def test_what_sources_share_they_still_share(self):
    _, freeway, pong = source_actions.of_specs(
        'renamed', specs_of('Breakout', 'Freeway', 'Pong'), 1)
    # Together they have 0, 1, 2, 3, 4, 5, 11, 12; Breakout leaves 2, 5, 6, 7, 8, 9, 10, 11, ...
    self.assertEqual(freeway.legal_actions, (2, 6, 9))
    self.assertEqual(pong.legal_actions, (2, 5, 7, 8, 10, 11))

  def test_too_few_ids_are_refused(self):
    with self.assertRaisesRegex(ValueError, r"'renamed', and sources \(Freeway\) have 3 actions; "
                                r'expected at most 0, the ids of 18 that no target \(Seaquest\)'):
      source_actions.of_specs('renamed', specs_of('Seaquest', 'Freeway'), 1)


class ConfigTest(parameterized.TestCase):

  @parameterized.parameters(
      (dict(source_actions='shuffled'), "source_actions is 'shuffled'; expected one of"),
      (dict(source_actions='permuted', method='dt1_idm'), "'permuted', and method 'dt1_idm'"),
      (dict(source_actions='permuted', sources=()), "method 'alpt' with sources .. reads none"),
      (dict(source_actions='renamed'), 'have 4 actions; expected at most 0'))
  def test_what_has_no_meaning_is_refused(self, changes, message):
    config = maze.get_config('tiny')
    config.update(changes)
    with self.assertRaisesRegex(ValueError, message):
      run_config.check_run(config)

  def test_default_changes_no_digest_and_a_control_does(self):
    for config in (atari.get_config('desk'), maze.get_config('desk'), own.get_config('desk')):
      self.assertEqual(config.source_actions, 'true')
    config = atari.get_config('desk')
    run = studies.Run('name', 'variant', {}, part='labels')
    digests = [runs.config_digest(config), runs.digest(runs.settings(config, run))]
    self.assertNotIn('source_actions', runs.settings(config, run))
    older = config.copy_and_resolve_references()
    with older.unlocked():
      del older.source_actions
    self.assertEqual(runs.config_digest(older), digests[0])
    config.source_actions = 'permuted'
    self.assertNotEqual(runs.config_digest(config), digests[0])
    self.assertNotEqual(runs.digest(runs.settings(config, run)), digests[1])


class RunTest(parameterized.TestCase):

  def batches(self, config):
    """The first `types.Batches` of a run, and its specs."""
    phase, specs = run_config.check_run(config)
    data = inputs.read_data(config, phase)
    made = pipeline.Pipeline(
        inputs.make_streams(config, phase, specs, data), window=config.window, seed=config.seed,
        num_shards=config.sampling.num_shards, pool_size=config.sampling.pool_size, start_step=0)
    self.addCleanup(made.close)
    return python_types.SimpleNamespace(batches=next(made), specs=specs, data=data)

  def test_a_run_reads_the_same_windows_with_renamed_actions_of_its_source(self):
    config = lambda mode: atari_runs.config(  # noqa: E731
        '', 'tiny,setting=disjoint,phase=pretrain', source_actions=mode)
    plain, renamed = self.batches(config('true')), self.batches(config('renamed'))
    self.assertEqual(renamed.specs[1].legal_actions, (2, 5, 6))
    names = np.arange(18)
    names[[0, 2, 5]] = 2, 5, 6
    for part in ('idm', 'dt', 'limited'):
      before, after = (getattr(x.batches, part) for x in (plain, renamed))
      is_source = (before.environment == 1)[:, None] & before.is_labelled
      np.testing.assert_array_equal(
          after.actions, np.where(is_source, names[before.actions], before.actions))
      for name in ('observations', 'is_labelled', 'rewards', 'returns_to_go', 'environment'):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    self.assertTrue((plain.batches.idm.environment == 1).any())

  def test_targets_keep_their_actions_and_what_is_hidden(self):
    config = lambda mode: maze_data.config('', source_actions=mode)  # noqa: E731
    plain, permuted = self.batches(config('true')), self.batches(config('permuted'))
    target, source = plain.specs[0].name, plain.specs[1].name
    for field in ('actions', 'is_labelled', 'rewards'):
      np.testing.assert_array_equal(getattr(plain.data.episodes[target], field),
                                    getattr(permuted.data.episodes[target], field))
    before, after = (x.data.episodes[source] for x in (plain, permuted))
    self.assertGreater(np.mean(before.actions != after.actions), .3)
    np.testing.assert_array_equal(plain.data.choices[target].windows,
                                  permuted.data.choices[target].windows)

  def test_the_control_reaches_the_update(self):
    self.assertIn(methods.SOURCES, methods.METHODS['alpt'].joint.idm)
    config = maze_data.config('', source_actions='permuted')
    source, = config.sources
    recorded = domains.of(config).read(source)
    found, again, other = (
        self.batches(maze_data.config('', source_actions='permuted', seed=seed)).data.episodes[
            source] for seed in (0, 0, 1))
    for episode in range(recorded.num_episodes):
      before, after = (data.actions_of(episode)[0] for data in (recorded, found))
      self.assertEqual(collections.Counter(before.tolist()), collections.Counter(after.tolist()))
    self.assertGreater(np.mean(found.actions != recorded.actions), .3)
    np.testing.assert_array_equal(found.actions, again.actions)
    self.assertGreater(np.mean(found.actions != other.actions), .3)


if __name__ == '__main__':
  absltest.main()
