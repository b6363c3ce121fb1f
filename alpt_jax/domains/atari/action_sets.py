"""Names and actions of the 46 Atari games of RL Unplugged.

RL Unplugged stores indices into a game's minimal action set: index 2 is DOWN in Freeway and RIGHT
in Breakout. Games are trained together in the full set of 18, where an id means the same in all.

The table stands here so that data can be read without an emulator; a test compares it with ALE.
"""

import difflib

from alpt_jax import action_space, types

ACTION_NAMES = (
    'NOOP', 'FIRE', 'UP', 'RIGHT', 'LEFT', 'DOWN', 'UPRIGHT', 'UPLEFT', 'DOWNRIGHT', 'DOWNLEFT',
    'UPFIRE', 'RIGHTFIRE', 'LEFTFIRE', 'DOWNFIRE', 'UPRIGHTFIRE', 'UPLEFTFIRE', 'DOWNRIGHTFIRE',
    'DOWNLEFTFIRE')  # By id, as ALE numbers them.
NUM_ACTIONS = len(ACTION_NAMES)

# (down, right) of each, in {-1, 0, 1}.
DIRECTIONS = tuple((('DOWN' in name) - ('UP' in name), ('RIGHT' in name) - ('LEFT' in name))
                   for name in ACTION_NAMES)

_ALL = tuple(range(NUM_ACTIONS))
_EIGHT_WAYS = (0, 2, 3, 4, 5, 6, 7, 8, 9)  # No button.
_FOUR_WAYS_AND_FIRE = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13)
_SIDEWAYS_AND_FIRE = (0, 1, 3, 4, 11, 12)
_UP_DOWN_AND_FIRE = (0, 1, 2, 5, 10, 13)

MINIMAL_ACTIONS = {  # Ids of the full set, in the order of the game's own indices.
    'Alien': _ALL,
    'Amidar': _FOUR_WAYS_AND_FIRE,
    'Assault': (0, 1, 2, 3, 4, 11, 12),
    'Asterix': _EIGHT_WAYS,
    'Atlantis': (0, 1, 11, 12),
    'BankHeist': _ALL,
    'BattleZone': _ALL,
    'BeamRider': (0, 1, 2, 3, 4, 6, 7, 11, 12),
    'Boxing': _ALL,
    'Breakout': (0, 1, 3, 4),
    'Carnival': _SIDEWAYS_AND_FIRE,
    'Centipede': _ALL,
    'ChopperCommand': _ALL,
    'CrazyClimber': _EIGHT_WAYS,
    'DemonAttack': _SIDEWAYS_AND_FIRE,
    'DoubleDunk': _ALL,
    'Enduro': (0, 1, 3, 4, 5, 8, 9, 11, 12),
    'FishingDerby': _ALL,
    'Freeway': (0, 2, 5),
    'Frostbite': _ALL,
    'Gopher': (0, 1, 2, 3, 4, 10, 11, 12),
    'Gravitar': _ALL,
    'Hero': _ALL,
    'IceHockey': _ALL,
    'Jamesbond': _ALL,
    'Kangaroo': _ALL,
    'Krull': _ALL,
    'KungFuMaster': (0, 2, 3, 4, 5, 8, 9, 11, 12, 13, 14, 15, 16, 17),
    'MsPacman': _EIGHT_WAYS,
    'NameThisGame': _SIDEWAYS_AND_FIRE,
    'Phoenix': (0, 1, 3, 4, 5, 11, 12, 13),
    'Pong': _SIDEWAYS_AND_FIRE,
    'Pooyan': _UP_DOWN_AND_FIRE,
    'Qbert': (0, 1, 2, 3, 4, 5),
    'Riverraid': _ALL,
    'RoadRunner': _ALL,
    'Robotank': _ALL,
    'Seaquest': _ALL,
    'SpaceInvaders': _SIDEWAYS_AND_FIRE,
    'StarGunner': _ALL,
    'TimePilot': _FOUR_WAYS_AND_FIRE,
    'UpNDown': _UP_DOWN_AND_FIRE,
    'VideoPinball': (0, 1, 2, 3, 4, 5, 10, 11, 12),
    'WizardOfWor': _FOUR_WAYS_AND_FIRE,
    'YarsRevenge': _ALL,
    'Zaxxon': _ALL,
}
GAMES = tuple(MINIMAL_ACTIONS)


def check_game(name):
  """Refuses names that are not among `GAMES`.

  Args:
    name: a game's name, e.g. 'SpaceInvaders'.

  Raises:
    ValueError: if there is no such game; names the nearest.
  """
  if name in MINIMAL_ACTIONS:
    return
  by_letters = {game.lower(): game for game in GAMES}
  letters = ''.join(c for c in str(name).lower() if c.isalnum())  # 'space_invaders-v5', too.
  nearest = difflib.get_close_matches(letters, by_letters, n=1, cutoff=0.)[0]
  raise ValueError(f'Unknown game {name!r}; did you mean {by_letters[nearest]!r}? Games have the '
                   'names of RL Unplugged.')


def spec(game):
  """Describes a game to the data and the networks.

  Returns are sums of clipped rewards; their range is that of Multi-Game Decision Transformers (Lee
  et al., 2022), -20 to 100.

  Args:
    game: one of `GAMES`.

  Returns:
    A `types.EnvironmentSpec`.

  Raises:
    ValueError: if `game` is unknown.
  """
  check_game(game)
  return types.EnvironmentSpec(
      name=game, observation_key='', observation_kind='image', observation_shape=(84, 84, 1),
      actions=action_space.Discrete(
          ACTION_NAMES, legal=MINIMAL_ACTIONS[game], stored=MINIMAL_ACTIONS[game]),
      return_low=-20, return_high=100, reward_clip=1.)
