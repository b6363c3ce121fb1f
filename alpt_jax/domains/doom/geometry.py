"""Geometry of maps: distances to walls, and shortest ways around them."""

import heapq

import numpy as np

_NEVER = 1e9
_STEPS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


def wrap(degrees):
  """Brings an angle into [-180, 180)."""
  return (degrees + 180) % 360 - 180


def clearance(walls, place, heading):
  """Measures how far a ray goes to the next wall.

  Args:
    walls: [N, 2, 2] float, both ends of each.
    place: (x, y), where it starts.
    heading: degrees, counterclockwise from the x axis.

  Returns:
    The distance; 1e9 if it meets none.
  """
  ray = np.array([np.cos(np.radians(heading)), np.sin(np.radians(heading))])
  first, along = walls[:, 0] - place, walls[:, 1] - walls[:, 0]
  cross = ray[0] * along[:, 1] - ray[1] * along[:, 0]
  with np.errstate(divide='ignore', invalid='ignore'):  # Walls that the ray is parallel to.
    distance = (first[:, 0] * along[:, 1] - first[:, 1] * along[:, 0]) / cross
    share = (first[:, 0] * ray[1] - first[:, 1] * ray[0]) / cross
  is_hit = (distance > 0) & (share >= 0) & (share <= 1)
  return float(distance.min(where=is_hit, initial=_NEVER))


def distances_to_walls(walls, places):
  """Returns the distance of each place to the nearest wall: [N, 2, 2], [..., 2] -> [...]."""
  nearest = np.full(places.shape[:-1], _NEVER)
  for first, last in walls:
    along = last - first
    share = np.clip((places - first) @ along / max(along @ along, 1e-6), 0, 1)
    distances = np.linalg.norm(places - first - share[..., None] * along, axis=-1)
    nearest = np.minimum(nearest, distances)
  return nearest


class Ways:
  """Shortest ways to a goal, on a grid of places that are far enough from walls."""
  _CELL = 16.

  def __init__(self, walls, goal, *, radius=24.):
    """Finds the ways.

    Args:
      walls: [N, 2, 2] float, both ends of each.
      goal: (x, y).
      radius: distance to keep from walls; the player's own is 16.
    """
    self._origin = walls.min(axis=(0, 1))
    shape = np.ceil((walls.max(axis=(0, 1)) - self._origin) / self._CELL).astype(int) + 1
    places = np.moveaxis(np.indices(shape), 0, -1) * self._CELL + self._origin
    self._is_free = distances_to_walls(walls, places) > radius
    self._costs = self._spread(self._cell(goal))
    self._known = np.array(list(self._costs))

  def next_place(self, place):
    """Returns the (x, y) farthest along the way from a place that is in a straight line from it."""
    near = np.abs(self._known - self._cell(place)).sum(axis=1)
    cell = start = tuple(int(i) for i in self._known[near.argmin()])
    while True:
      following = min(self._around(cell), key=self._cost, default=cell)
      if self._cost(following) >= self._cost(cell) or not self._is_straight(start, following):
        return tuple((np.array(cell) * self._CELL + self._origin).tolist())
      cell = following

  def _cell(self, place):
    cell = np.round((np.array(place) - self._origin) / self._CELL).astype(int)
    return tuple(int(i) for i in np.clip(cell, 0, np.array(self._is_free.shape) - 1))

  def _cost(self, cell):
    return self._costs.get(cell, _NEVER)

  def _around(self, cell):
    """Returns the neighbours of a cell that are on the map."""
    cells = [(cell[0] + i, cell[1] + j) for i, j in _STEPS]
    rows, columns = self._is_free.shape
    return [(i, j) for i, j in cells if 0 <= i < rows and 0 <= j < columns]

  def _is_straight(self, start, end):
    num = 2 * max(abs(end[0] - start[0]), abs(end[1] - start[1])) + 1
    line = np.round(np.linspace(start, end, num)).astype(int)
    return self._is_free[line[:, 0], line[:, 1]].all()

  def _spread(self, goal):
    """Returns {cell: length of its way to the goal}, of all cells that have one."""
    costs, queue = {}, [(0., goal)]
    while queue:
      cost, cell = heapq.heappop(queue)
      if cell in costs:
        continue
      costs[cell] = cost
      for near in self._around(cell):
        if near not in costs and self._is_free[near]:
          length = np.hypot(near[0] - cell[0], near[1] - cell[1])
          heapq.heappush(queue, (cost + length, near))
    return costs
