"""Draws the pictures of pages: learning curves, any plot, and mazes.

Curves are drawn once, by matplotlib, for the page (SVG) and for a README (PNG). In the SVG the two
inks become CSS, so that one picture serves light and dark pages. Mazes are a few SVG shapes.
"""

import dataclasses
import io
import math
import re

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib import figure, lines, ticker

from alpt_jax.measures import curves

# Okabe & Ito's colours, then two of Tol's, safe for colour-blind readers; markers repeat the
# distinction.
COLOURS = ('#CC79A7', '#E69F00', '#0072B2', '#D55E00', '#56B4E9', '#009E73', '#882255', '#999933')
MARKERS = ('o', 's', '^', 'D', 'v', 'X', '>', '<')
_LEGEND_COLUMNS = 4
_MARKER_PATHS = {  # The same markers for HTML legends, in a box from -4 to 4.
    'o': 'M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z', 's': 'M-3 -3h6v6h-6z',
    '^': 'M0 -4L4 3H-4z', 'D': 'M0 -4L4 0L0 4L-4 0z', 'v': 'M0 4L4 -3H-4z',
    '>': 'M4 0L-3 -4V4z', '<': 'M-4 0L3 -4V4z',
    'X': 'M-2 -4L0 -2L2 -4L4 -2L2 0L4 2L2 4L0 2L-2 4L-4 2L-2 0L-4 -2z'}
_INK = '#1b1f24'  # Becomes the page's text colour.
_FAINT = '#d5d9de'  # Becomes the page's line colour.
MUTED = '#6a717a'  # Becomes the page's muted text colour.


@dataclasses.dataclass(frozen=True)
class Style:
  """How a method looks in every picture.

  Attributes:
    label: the method's name.
    colour: CSS colour of its line.
    marker: a key of the markers above.
    is_dashed: whether its line is, as those of floors and ceilings are.
  """
  label: str
  colour: str
  marker: str
  is_dashed: bool = False


@dataclasses.dataclass(frozen=True)
class Panel:
  """One plot of learning curves.

  Attributes:
    title: above the plot.
    y_label: of the y axis, with its unit.
    curves: pairs of a Style and a `curves.Curve`.
    anchors: {name: level}, drawn as dashed lines; NaN levels are left out, levels outside of
      `limits` are named at the edge, with an arrow.
    limits: y range.
    x_label: of the x axis, with its unit.
    is_log: whether the x axis is logarithmic, with a tick at every step of the curves.
  """
  title: str
  y_label: str
  curves: tuple[tuple[Style, curves.Curve], ...]
  anchors: dict[str, float]
  limits: tuple[float, float]
  x_label: str = 'gradient steps'
  is_log: bool = False


def styles(labels):
  """Gives each method its colour and marker; they repeat after eight methods.

  Args:
    labels: {method: label}, in the order of legends.

  Returns:
    {method: Style}.
  """
  return {method: Style(label, COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
          for i, (method, label) in enumerate(labels.items())}


def _spread(levels, gap):
  """Moves label positions apart to at least `gap`, keeping their order and their centre."""
  order = np.argsort(levels, kind='stable')
  moved = np.array(levels, np.float64)[order]
  for _ in range(50):
    for i in range(1, len(moved)):
      overlap = gap - (moved[i] - moved[i - 1])
      if overlap > 0:
        moved[i - 1] -= overlap / 2
        moved[i] += overlap / 2
  result = np.empty_like(moved)
  result[order] = moved
  return result


def _draw_curve(ax, style, curve):
  line = dict(color=style.colour, marker=style.marker, markersize=3.6, markeredgewidth=0)
  full = curve.n == (curve.n.max() if curve.n.size else 0)
  if style.is_dashed:
    ax.plot(curve.steps, curve.mean, color=style.colour, lw=1.2, ls=(0, (5, 3)),
            zorder=5)  # Above what it is compared with.
    return
  # NaN breaks the line: a missing value is a gap.
  ax.plot(curve.steps, curve.mean, color=style.colour, lw=.9)
  ax.plot(curve.steps, np.where(full, curve.mean, math.nan), lw=1.8, **line)
  ax.fill_between(curve.steps, curve.mean - curve.std, curve.mean + curve.std, color=style.colour,
                  alpha=.16, lw=0)


def _draw_anchors(ax, panel):
  names = {}  # Level as text: names. Equal anchors share a line and a label.
  for name, level in panel.anchors.items():
    if math.isfinite(level):
      names.setdefault(f'{level:.3f}'.rstrip('0').rstrip('.'), []).append(name)
  levels = [float(text) for text in names]
  low, high = panel.limits
  heights = _spread(np.clip(levels, low, high), .055 * (high - low))
  for text, level, height in zip(names, levels, heights, strict=True):
    arrow = ' ↑' if level > high else ' ↓' if level < low else ''
    if not arrow:
      ax.axhline(level, color=MUTED, lw=.9, ls=(0, (5, 3)), zorder=1)
    ax.annotate('\n'.join(names[text]) + f' {text}{arrow}', (1, height), xytext=(5, 0),
                xycoords=('axes fraction', 'data'), textcoords='offset points',
                va='top' if len(names[text]) > 1 else 'center', color=MUTED, fontsize=8,
                annotation_clip=False)


def _draw(ax, panel):
  for style, curve in panel.curves:
    _draw_curve(ax, style, curve)
  ax.set_ylim(*panel.limits)
  if not panel.is_log:
    ax.set_xlim(left=0)
  _draw_anchors(ax, panel)
  if panel.is_log:
    ax.set_xscale('log')
    ax.xaxis.set_major_locator(ticker.FixedLocator(sorted(
        {step for _, curve in panel.curves for step in curve.steps.tolist()})))
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    ax.xaxis.set_major_formatter(_thousands)


def _thousands(x, _):
  return f'{x / 1000:g}k' if abs(x) >= 1000 else f'{x:g}'


def _decorate(ax, title, x_label, y_label):
  """Writes titles and draws axes alike in all pictures."""
  ax.set_title(title, loc='left', fontsize=10, color=_INK, fontweight='bold')
  ax.set_xlabel(x_label, color=_INK)
  ax.set_ylabel(y_label, color=_INK)
  ax.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
  ax.xaxis.set_major_formatter(_thousands)
  ax.grid(color=_FAINT, lw=.6)
  ax.set_axisbelow(True)
  ax.tick_params(color=_FAINT, labelcolor=_INK)
  for side, spine in ax.spines.items():
    spine.set_visible(side in ('left', 'bottom'))
    spine.set_color(_FAINT)


def _inline(svg, name):
  """Makes matplotlib's SVG file a part of a page: unique ids, the page's colours and fonts."""
  svg = svg[svg.index('<svg'):]
  svg = re.sub(r'<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>', '', svg, flags=re.S)
  svg = re.sub(r' (xmlns(:xlink)?|version|width|height)="[^"]*"', '', svg[:svg.index('>')]) + (
      svg[svg.index('>'):])
  svg = svg.replace('xlink:href', 'href')
  svg = re.sub(r'(\bid="|href="#|url\(#)', rf'\g<1>{name}-', svg)
  svg = re.sub(r"'DejaVu Sans'[^;\"]*", 'sans-serif', svg)
  for ink, css in ((_INK, 'currentColor'), (_FAINT, 'var(--line)'), (MUTED, 'var(--muted)')):
    svg = svg.replace(ink, css)
  return re.sub(r'\n\s*', '\n', svg)


def curves_svg(panel, name):
  """Draws a panel for a page.

  Args:
    panel: what to draw.
    name: unique on the page.

  Returns:
    An `<svg>` element; it uses the page's CSS variables --line and --muted.
  """
  return plot_svg(lambda ax: _draw(ax, panel), panel.title, panel.x_label, panel.y_label, name)


def plot_svg(draw, title, x_label, y_label, name):
  """Draws any plot for a page.

  Args:
    draw: draw(ax) draws what is in it, on matplotlib axes.
    title: above the plot; what a screen reader says.
    x_label: of the x axis, with its unit.
    y_label: of the y axis, with its unit.
    name: unique on the page.

  Returns:
    An `<svg>` element; it uses the page's CSS variables --line and --muted.
  """
  name = re.sub(r'\W+', '-', name)
  buffer = io.StringIO()
  with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': name, 'font.size': 9}):
    fig = figure.Figure(figsize=(4.4, 3.1), layout='constrained')  # Legible on a phone.
    ax = fig.add_subplot()
    _decorate(ax, title, x_label, y_label)
    draw(ax)
    fig.savefig(buffer, format='svg', transparent=True,
                metadata=dict(Date=None, Creator=None, Format=None, Type=None))
  return Markup(_inline(buffer.getvalue(), name).replace(
      '<svg', f'<svg class="plot" role="img" aria-label="{escape(title)}"', 1))


def curves_png(rows_of_panels):
  """Draws panels as one picture on white, a row of panels per setting, with one legend.

  Args:
    rows_of_panels: list of equally long lists of `Panel`, or None for an empty place.

  Returns:
    bytes of a PNG file.
  """
  buffer = io.BytesIO()
  with matplotlib.rc_context({'font.size': 9}):
    num_rows, num_columns = len(rows_of_panels), len(rows_of_panels[0])
    fig = figure.Figure(figsize=(5.2 * num_columns, 3.3 * num_rows + .4), layout='constrained')
    axes = fig.subplots(num_rows, num_columns, squeeze=False)
    shown = {}
    for panels, axes_row in zip(rows_of_panels, axes, strict=True):
      for panel, ax in zip(panels, axes_row, strict=True):
        if panel is None:
          ax.set_axis_off()
          continue
        _decorate(ax, panel.title, panel.x_label, panel.y_label)
        _draw(ax, panel)
        shown.update({style: None for style, _ in panel.curves})
    handles = [lines.Line2D([], [], color=s.colour, marker=None if s.is_dashed else s.marker,
                            label=s.label, ls='--' if s.is_dashed else '-', markersize=5,
                            markeredgewidth=0, lw=1.8) for s in shown]
    if handles:
      fig.legend(handles=handles, loc='outside upper center', frameon=False,
                 ncols=min(len(handles), _LEGEND_COLUMNS))
    fig.savefig(buffer, format='png', dpi=150, facecolor='white', metadata={'Software': None})
  return buffer.getvalue()


def swatch(style):
  """Draws the line and marker of a method for a legend, as an `<svg>` element."""
  return Markup(f'<svg class="swatch" viewBox="-14 -5 28 10" aria-hidden="true">'
                f'<path d="M-14 0H14" stroke="{style.colour}" stroke-width="2"/>'
                f'<path d="{_MARKER_PATHS[style.marker]}" fill="{style.colour}"/></svg>')


def _episode(episode, colour, shift):
  """The path through the cells' centres, a ring at the start, a cross where it ended unreached."""
  points = [(column + .5 + shift, row + .5 + shift) for row, column in episode['path']]
  row, column = episode['start']
  x, y = points[-1] if points else (column + .5, row + .5)
  parts = [f'<path class="path" stroke="{colour}" d="M'
           + 'L'.join(f'{x:.4g} {y:.4g}' for x, y in points) + '"/>'] if points else []
  parts.append(f'<circle class="start" stroke="{colour}" cx="{column + .5 + shift:.4g}" '
               f'cy="{row + .5 + shift:.4g}" r=".34"/>')
  if not episode['reached']:
    parts.append(f'<path class="lost" stroke="{colour}" d="M{x - .35:.4g} {y - .35:.4g}l.7 .7'
                 f'm-.7 0l.7 -.7"/>')
  return ''.join(parts)


def maze_svg(walls, goal, title, episodes=(), colour='currentColor'):
  """Draws a maze, and an agent's episodes in it.

  Args:
    walls: [n, n] 0 or 1.
    goal: (row, column).
    title: what a screen reader says.
    episodes: dicts with 'start' (row, column), 'path' (list of (row, column)) and 'reached'.
    colour: of the episodes.

  Returns:
    An `<svg>` element; it uses the page's CSS classes wall, goal, path, start and lost.
  """
  walls = np.asarray(walls)
  cells = ''.join(f'M{column} {row}h1v1h-1z' for row, column in np.argwhere(walls))
  # Paths of episodes are offset, so that common stretches show as parallel lines.
  shifts = .2 * (np.arange(len(episodes)) - (len(episodes) - 1) / 2) / max(1, len(episodes) / 3)
  return Markup(f'<svg class="maze" role="img" aria-label="{escape(title)}" '
                f'viewBox="0 0 {walls.shape[1]} {walls.shape[0]}">'
                f'<path class="wall" d="{cells}"/>'
                f'<rect class="goal" x="{goal[1]}" y="{goal[0]}" width="1" height="1"/>'
                + ''.join(_episode(e, colour, shift)
                          for e, shift in zip(episodes, shifts, strict=True)) + '</svg>')
