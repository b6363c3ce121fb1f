"""Tests of the names and actions of the Atari games."""

import ale_py
from absl.testing import parameterized

from alpt_jax.domains.atari import action_sets, env


class ActionSetsTest(parameterized.TestCase):

  def test_has_the_46_games_of_rl_unplugged_in_alphabetical_order(self):
    self.assertLen(action_sets.GAMES, 46)
    self.assertEqual(action_sets.GAMES, tuple(sorted(action_sets.GAMES)))

  def test_names_and_ids_are_those_of_ale(self):
    self.assertEqual(action_sets.ACTION_NAMES,
                     tuple(ale_py.Action(i).name for i in range(action_sets.NUM_ACTIONS)))

  @parameterized.parameters(*action_sets.GAMES)
  def test_minimal_actions_are_those_of_the_emulated_game(self, game):
    emulator = ale_py.ALEInterface()
    emulator.loadROM(env.rom_path(game))
    self.assertEqual(action_sets.MINIMAL_ACTIONS[game],
                     tuple(action.value for action in emulator.getMinimalActionSet()))

  def test_freeway_and_breakout_share_nothing_but_waiting(self):
    self.assertEqual(set(action_sets.MINIMAL_ACTIONS['Freeway'])
                     & set(action_sets.MINIMAL_ACTIONS['Breakout']), {0})

  @parameterized.parameters(('breakout', 'Breakout'), ('ms_pacman', 'MsPacman'),
                            ('ALE/SpaceInvaders-v5', 'SpaceInvaders'), ('Pongo', 'Pong'),
                            ('StarGuner', 'StarGunner'))
  def test_unknown_names_are_refused_with_the_nearest(self, name, nearest):
    with self.assertRaisesRegex(ValueError, f"Unknown game '{name}'; did you mean '{nearest}'"):
      action_sets.check_game(name)

  def test_spec_maps_stored_indices_to_the_full_set(self):
    spec = action_sets.spec('Freeway')
    self.assertEqual(spec.num_actions, 18)
    self.assertEqual([action_sets.ACTION_NAMES[action] for action in spec.stored_actions],
                     ['NOOP', 'UP', 'DOWN'])
    self.assertEqual(spec.legal_actions, spec.stored_actions)
    self.assertEqual(spec.reward_clip, 1.)
    self.assertEqual((spec.return_low, spec.return_high), (-20, 100))

  def test_every_game_has_a_spec_with_dopamines_observation(self):
    for game in action_sets.GAMES:
      spec = action_sets.spec(game)
      self.assertEqual((spec.name, spec.observation_kind, spec.observation_shape),
                       (game, 'image', (84, 84, 1)))
