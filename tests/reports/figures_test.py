"""Pictures of pages."""

import math
import re

from absl.testing import absltest

from alpt_jax.measures import curves
from alpt_jax.reports import figures


class FiguresTest(absltest.TestCase):

  def _num_pieces(self, values):
    """Into how many pieces the gaps cut the line of a curve."""
    style = figures.Style('method', '#123456', 'o')
    rows = [dict(target='a', seed=seed, step=step, x=x)
            for seed in range(2) for step, x in enumerate(values)]
    panel = figures.Panel('title', 'unit', ((style, curves.curve(rows, 'x')),),
                          {'ceiling': math.nan}, (0., 1.))
    svg = figures.curves_svg(panel, 'name')
    self.assertNotIn('ceiling', svg)
    paths = re.findall(r'<path d="([^"]*)"[^>]*stroke: #123456; stroke-width: 1.8', svg)
    self.assertLen(paths, 1)
    return paths[0].count('M')

  def test_a_missing_number_cuts_the_line(self):
    self.assertEqual(self._num_pieces([.1, .5, .3, .4, .9]), 1)
    self.assertEqual(self._num_pieces([.1, .5, None, .4, .9]), 2)

  def test_maze_shows_walls_goal_and_where_an_episode_ended(self):
    episode = dict(start=[1, 0], path=[[1, 0], [1, 1]], reached=False)
    svg = figures.maze_svg([[1, 0], [0, 0]], [0, 1], 'a <maze>', [episode], '#123456')
    self.assertIn('d="M0 0h1v1h-1z"', svg)  # The wall, in x and y.
    self.assertIn('class="goal" x="1" y="0"', svg)
    self.assertIn('d="M0.5 1.5L1.5 1.5"', svg)
    self.assertIn('class="lost"', svg)
    self.assertIn('a &lt;maze&gt;', svg)


if __name__ == '__main__':
  absltest.main()
