"""Scores of a random player and of a professional human, to normalise scores on Atari.

The scores are those of `atari_data.py` in google-deepmind/dqn_zoo (which calls itself data of
Atari-57: means over at least 3 episodes of at most 30 minutes, each begun with 1 to 30 no-ops).
Starts and sticky actions of an evaluation here differ from that, as in the literature at large.
"""

from alpt_jax.domains.atari import action_sets

RANDOM_AND_HUMAN = {  # Raw points. Carnival and Pooyan have no published human score there.
    'Alien': (227.8, 7127.7),
    'Amidar': (5.8, 1719.5),
    'Assault': (222.4, 742.0),
    'Asterix': (210.0, 8503.3),
    'Atlantis': (12850.0, 29028.1),
    'BankHeist': (14.2, 753.1),
    'BattleZone': (2360.0, 37187.5),
    'BeamRider': (363.9, 16926.5),
    'Boxing': (0.1, 12.1),
    'Breakout': (1.7, 30.5),
    'Carnival': (None, None),
    'Centipede': (2090.9, 12017.0),
    'ChopperCommand': (811.0, 7387.8),
    'CrazyClimber': (10780.5, 35829.4),
    'DemonAttack': (152.1, 1971.0),
    'DoubleDunk': (-18.6, -16.4),
    'Enduro': (0.0, 860.5),
    'FishingDerby': (-91.7, -38.7),
    'Freeway': (0.0, 29.6),
    'Frostbite': (65.2, 4334.7),
    'Gopher': (257.6, 2412.5),
    'Gravitar': (173.0, 3351.4),
    'Hero': (1027.0, 30826.4),
    'IceHockey': (-11.2, 0.9),
    'Jamesbond': (29.0, 302.8),
    'Kangaroo': (52.0, 3035.0),
    'Krull': (1598.0, 2665.5),
    'KungFuMaster': (258.5, 22736.3),
    'MsPacman': (307.3, 6951.6),
    'NameThisGame': (2292.3, 8049.0),
    'Phoenix': (761.4, 7242.6),
    'Pong': (-20.7, 14.6),
    'Pooyan': (None, None),
    'Qbert': (163.9, 13455.0),
    'Riverraid': (1338.5, 17118.0),
    'RoadRunner': (11.5, 7845.0),
    'Robotank': (2.2, 11.9),
    'Seaquest': (68.4, 42054.7),
    'SpaceInvaders': (148.0, 1668.7),
    'StarGunner': (664.0, 10250.0),
    'TimePilot': (3568.0, 5229.2),
    'UpNDown': (533.4, 11693.2),
    'VideoPinball': (16256.9, 17667.9),
    'WizardOfWor': (563.5, 4756.5),
    'YarsRevenge': (3092.9, 54576.9),
    'Zaxxon': (32.5, 9173.3),
}
PUBLISHED = 'random play and human as published by dqn_zoo, whose protocol is another one'


def human_normalised(game, score):
  """Puts a score on the line from random (0) to human (1) play.

  Args:
    game: one of `action_sets.GAMES`.
    score: raw points, a number or an array.

  Returns:
    (score - random) / (human - random); None if the game has no human score.

  Raises:
    ValueError: if `game` is unknown.
  """
  action_sets.check_game(game)
  random, human = RANDOM_AND_HUMAN[game]
  return None if human is None else (score - random) / (human - random)
