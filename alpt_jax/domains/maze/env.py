"""Gridworld mazes of the paper's section 5.6: layouts, dynamics and a dm_env environment.

The paper takes its mazes from Yang et al. (2022), whose generator is the `maze.env.py` of
google-research/dice_rl. `make_layout` draws the same layouts from the same seeds: the same random
stream, consumed in the same order. Everything an agent does is then three pure functions over a
batch of agents (`move`, `observe`, `starts`); `Maze` wraps them for one agent.

Positions are (row, column). We differ from dice_rl in one point: an episode never starts on the
goal, nor in a cell that is walled off from it.
"""

import collections
import dataclasses
import hashlib
import re

import dm_env
import numpy as np
from dm_env import specs

from alpt_jax import action_space, types

DOWN, RIGHT, UP, LEFT = range(4)  # The order of dice_rl; the paper lists names without ids.
ACTION_NAMES = ('DOWN', 'RIGHT', 'UP', 'LEFT')  # By id.
NUM_ACTIONS = len(ACTION_NAMES)
MOVES = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.int32)  # (row, column), by action.

WALLS_PLANE, GOAL_PLANE, AGENT_PLANE = range(3)  # Channels of the grid observation.

HORIZON = 500  # Section 5.6.

# Tunnels are carved between the nodes of a lattice: two cells of corridor, one of wall.
_CORRIDOR = 2
_PITCH = 3
_MIN_TUNNEL_SIZE = 7  # Two nodes a side; with one, the maze is a single cell.
_SHORTCUT_PROBABILITY = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
  """Walls and goal of one maze.

  Attributes:
    walls: [n, n] bool; the border is all wall.
    goal: (row, column) of a free cell with a free neighbour.
    name: names the maze in messages and results.
  """
  walls: np.ndarray
  goal: tuple[int, int]
  name: str

  def __post_init__(self):
    walls = self.walls
    if walls.ndim != 2 or walls.shape[0] != walls.shape[1] or walls.dtype != bool:
      raise ValueError(f'walls of {self.name} are {walls.dtype} {walls.shape}; expected a square '
                       'bool array.')
    if not (walls[[0, -1]].all() and walls[:, [0, -1]].all()):
      raise ValueError(f'walls of {self.name} leave the border open; make the outermost rows and '
                       'columns True.')
    if walls[self.goal]:
      raise ValueError(f'goal {self.goal} of {self.name} is a wall; choose a free cell.')
    if all(walls[tuple(np.add(self.goal, move))] for move in MOVES):
      raise ValueError(f'goal {self.goal} of {self.name} is walled in, no start can reach it; use '
                       'another seed or fewer blocks.')

  @property
  def size(self):
    """Cells along a side, walls included."""
    return len(self.walls)


def make_layout(kind, *, size=20, seed):
  """Draws a maze.

  The walls are drawn first, then the goal, from one stream.

  Args:
    kind: 'blocks:N' for N single-cell walls in an open room (the paper's blocked maze has 10), or
      'tunnel' for corridors two cells wide with loops (the paper's tunneled maze).
    size: cells along a side, the outer walls included.
    seed: non-negative int.

  Returns:
    A `Layout` named 'maze-{size}-{kind}-seed{seed}'.

  Raises:
    ValueError: if `kind` is unknown, `size` too small for it or `seed` negative; or if the goal
      fell on a cell with walls all around, which in practice needs very many blocks.
  """
  name = f'maze-{size}-{kind}-seed{seed}'
  if seed < 0:
    raise ValueError(f'seed of {name} is {seed}; expected a non-negative integer.')
  family, _, count = kind.partition(':')
  if family == 'blocks' and count.isdecimal():
    max_blocks = max(size - 2, 0) ** 2 - 2  # A start and a goal stay free.
    if int(count) > max_blocks:
      raise ValueError(f'{name} has room for {max(max_blocks, 0)} blocks; use a larger size or '
                       'fewer blocks.')
    rng = _gym_random_state(seed)
    walls = _draw_blocks(rng, size, int(count))
  elif kind == 'tunnel':
    if size < _MIN_TUNNEL_SIZE:
      raise ValueError(f'{name} has no room for a corridor; use a size of at least '
                       f'{_MIN_TUNNEL_SIZE}.')
    rng = _gym_random_state(seed)
    walls = _carve_tunnels(rng, size)
  else:
    raise ValueError(f'Unknown maze kind {kind!r}; expected "tunnel" or "blocks:N", e.g. '
                     '"blocks:10".')
  return Layout(walls=walls, goal=_draw_free_cell(rng, walls), name=name)


def layout_of(name):
  """Draws the maze of a name.

  Args:
    name: 'maze-{size}-{kind}-seed{seed}', as `make_layout` names it.

  Returns:
    The `Layout`.

  Raises:
    ValueError: if the name is not of that form, or names no maze.
  """
  match = re.fullmatch(r'maze-(\d+)-(.+)-seed(\d+)', name)
  if not match:
    raise ValueError(f'Unknown maze {name!r}; expected maze-SIZE-KIND-seedSEED, e.g. '
                     '"maze-20-blocks:10-seed0".')
  size, kind, seed = match.groups()
  return make_layout(kind, size=int(size), seed=int(seed))


def distances(walls, goal):
  """Counts the moves from every cell to the goal along a shortest path.

  Args:
    walls: [n, n] bool.
    goal: (row, column).

  Returns:
    [n, n] int32; 0 at the goal, -1 at walls and at cells that cannot reach it.
  """
  return _search(walls, goal)[0]


def optimal_actions(walls, goal):
  """Finds one action per cell that leads to the goal along a shortest path.

  Where several do, breadth-first search from the goal breaks the tie as in dice_rl: the cell takes
  the action by which it was first found, the queue being first in, first out, and the cells from
  which one action leads into a queued cell being tried in the order of the action ids.

  Args:
    walls: [n, n] bool.
    goal: (row, column).

  Returns:
    [n, n] int8 in [0, 4); -1 at walls, at the goal and at cells that cannot reach it.
  """
  return _search(walls, goal)[1]


def starts(layout):
  """Lists the cells where episodes start: all that can reach the goal, but the goal itself.

  Args:
    layout: a `Layout`.

  Returns:
    [M, 2] int32 positions, row by row; M >= 1.
  """
  return np.argwhere(distances(layout.walls, layout.goal) > 0).astype(np.int32)


def move(walls, positions, actions):
  """Moves every agent one cell; a move into a wall leaves it where it is.

  Args:
    walls: [n, n] bool.
    positions: [B, 2] int32, free cells.
    actions: [B] int in [0, 4).

  Returns:
    [B, 2] int32 positions.
  """
  proposed = positions + MOVES[actions]
  is_blocked = walls[proposed[:, 0], proposed[:, 1]]
  return np.where(is_blocked[:, None], positions, proposed)


def observe(walls, goal, positions):
  """Shows every agent its position, and the maze with it inside.

  Args:
    walls: [n, n] bool.
    goal: (row, column).
    positions: [B, 2] int.

  Returns:
    {'xy': [B, 2] int32 (row, column), all that dice_rl and the authors' release show;
     'grid': [B, n, n, 3] uint8 in {0, 1}, the planes walls, goal and agent}.
  """
  positions = np.array(positions, np.int32)
  agents = np.arange(len(positions))
  grid = np.zeros((len(positions), *walls.shape, 3), np.uint8)
  grid[..., WALLS_PLANE] = walls
  grid[:, *goal, GOAL_PLANE] = 1
  grid[agents, positions[:, 0], positions[:, 1], AGENT_PLANE] = 1
  return {'xy': positions, 'grid': grid}


def positions_of(observations):
  """Reads the cells [B, 2] int32 of agents off what `observe` showed of them, in either mode."""
  observations = np.asarray(observations)
  if observations.ndim == 2:
    return observations.astype(np.int32)
  agent = observations[..., AGENT_PLANE]
  cells = np.unravel_index(agent.reshape(len(agent), -1).argmax(axis=1), agent.shape[1:])
  return np.stack(cells, axis=1).astype(np.int32)


def spec(layout, observation):
  """Describes a maze to the data and the networks.

  Args:
    layout: a `Layout`.
    observation: 'xy' or 'grid', see `observe`.

  Returns:
    A `types.EnvironmentSpec`.

  Raises:
    ValueError: if `observation` is neither.
  """
  kinds_and_shapes = {'xy': ('vector', (2,)), 'grid': ('grid', (layout.size, layout.size, 3))}
  if observation not in kinds_and_shapes:
    raise ValueError(f'Unknown maze observation {observation!r}; expected one of '
                     f'{sorted(kinds_and_shapes)}.')
  kind, shape = kinds_and_shapes[observation]
  return types.EnvironmentSpec(
      name=layout.name, observation_key=observation, observation_kind=kind,
      observation_shape=shape, observation_low=0., observation_high=layout.size - 1.,
      actions=action_space.Discrete(ACTION_NAMES), return_low=0, return_high=1)


class Maze(dm_env.Environment):
  """One agent in a maze: reward 1 on the step that reaches the goal, which ends the episode.

  Actions are DOWN, RIGHT, UP, LEFT; observations are those of `observe` without the batch axis.
  The start is uniform over `starts`.

  Attributes:
    layout: the `Layout`.
  """

  def __init__(self, layout, seed, horizon=HORIZON):
    """Makes the environment; the first `step` or `reset` starts an episode.

    Args:
      layout: a `Layout`.
      seed: seeds the starts.
      horizon: steps after which an episode is cut off, with discount 1.

    Raises:
      ValueError: if `horizon` is not positive.
    """
    if horizon < 1:
      raise ValueError(f'horizon is {horizon}; expected at least 1 step.')
    self.layout = layout
    self._rng = np.random.default_rng(seed)
    self._horizon = horizon
    self._starts = starts(layout)
    self._position = None
    self._num_steps = 0
    self._needs_reset = True

  def reset(self):
    self._position = self._rng.choice(self._starts)
    self._num_steps = 0
    self._needs_reset = False
    return dm_env.restart(self._observation())

  def step(self, action):
    if self._needs_reset:
      return self.reset()
    if not 0 <= action < NUM_ACTIONS:
      raise ValueError(f'action is {action}; expected an integer in [0, {NUM_ACTIONS}).')
    self._position = move(self.layout.walls, self._position[None], [int(action)])[0]
    self._num_steps += 1
    if tuple(self._position) == self.layout.goal:
      self._needs_reset = True
      return dm_env.termination(1., self._observation())
    if self._num_steps == self._horizon:
      self._needs_reset = True
      return dm_env.truncation(0., self._observation())
    return dm_env.transition(0., self._observation())

  def observation_spec(self):
    n = self.layout.size
    return {
        'xy': specs.BoundedArray((2,), np.int32, 0, n - 1, name='xy'),
        'grid': specs.BoundedArray((n, n, 3), np.uint8, 0, 1, name='grid'),
    }

  def action_spec(self):
    return specs.DiscreteArray(NUM_ACTIONS, name='action')

  def _observation(self):
    batch = observe(self.layout.walls, self.layout.goal, self._position[None])
    return {key: value[0] for key, value in batch.items()}


def _gym_random_state(seed):
  """Seeds as `gym.utils.seeding.np_random` did before gym 0.22, which dice_rl's mazes rest on."""
  digest = hashlib.sha512(str(seed).encode()).digest()
  return np.random.RandomState(np.frombuffer(digest[:8], '<u4'))


def _draw_free_cell(rng, walls):
  """Rejects until a cell is free, so that its share of the stream matches dice_rl's."""
  while True:
    row, column = rng.randint(1, len(walls), size=2)
    if not walls[row, column]:
      return int(row), int(column)


def _draw_blocks(rng, size, count):
  walls = np.ones((size, size), bool)
  walls[1:-1, 1:-1] = False
  for _ in range(count):
    walls[_draw_free_cell(rng, walls)] = True
  return walls


def _carve_tunnels(rng, size):
  """Walks the lattice depth first, in random directions; sometimes joins a node seen before.

  The walk is a loop over a stack: large mazes would exceed Python's recursion limit.
  """
  walls = np.ones((size, size), bool)
  last = size - 1 - _CORRIDOR  # The largest coordinate a node may have.

  def visit(node):
    walls[node] = False
    return node, iter(rng.permutation(4))  # Drawn at the visit, before any draw further down.

  stack = [visit((1, 1))]
  while stack:
    node, directions = stack[-1]
    direction = next(directions, None)
    if direction is None:
      stack.pop()
      continue
    # dice_rl numbers the directions right, left, down, up here, unlike the actions.
    sign = _PITCH * (1 - 2 * (direction % 2))
    neighbour = (node[0], node[1] + sign) if direction < 2 else (node[0] + sign, node[1])
    if not 1 <= min(neighbour) <= max(neighbour) <= last:
      continue
    is_new = walls[neighbour]
    # A node seen before may be the one we came from: then nothing changes, but a draw is made.
    if is_new or rng.rand() < _SHORTCUT_PROBABILITY:
      (top, left), (bottom, right) = sorted((node, neighbour))
      walls[top:bottom + _CORRIDOR, left:right + _CORRIDOR] = False
    if is_new:
      stack.append(visit(neighbour))
  return walls


def _search(walls, goal):
  """Breadth-first search from the goal; see `distances` and `optimal_actions`."""
  distance = np.full(walls.shape, -1, np.int32)
  action = np.full(walls.shape, -1, np.int8)
  distance[tuple(goal)] = 0
  queue = collections.deque([tuple(goal)])
  while queue:
    row, column = queue.popleft()
    for a, (down, right) in enumerate(MOVES.tolist()):
      origin = row - down, column - right
      if not walls[origin] and distance[origin] < 0:
        distance[origin] = distance[row, column] + 1
        action[origin] = a
        queue.append(origin)
  return distance, action
