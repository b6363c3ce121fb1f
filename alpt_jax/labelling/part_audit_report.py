"""Builds the page of an audit of several parts: a table for each kind, pictures for each part.

The dict is that of `part_audit`, with the entry `about` that `audit_report` describes.
"""

import numpy as np

from alpt_jax.labelling import audit_report, part_findings
from alpt_jax.labelling.part_measures import CEILING, IDM, PERSISTENCE
from alpt_jax.measures import events
from alpt_jax.reports import figures, label_section
from alpt_jax.reports import page as report_page
from alpt_jax.reports.page import html, join, muted, number

_COLUMNS = {
    'categorical': ('accuracy', 'balanced_accuracy', 'macro_f1', 'nll'),
    'binary': ('accuracy', 'step_f1', *(f'{kind}_f1_{collar}' for kind in events.KINDS
                                        for collar in events.COLLARS)),
    'continuous': ('r2', 'pearson', 'mean_absolute_error', 'bias', 'scale_ratio', 'within',
                   'coverage_50', 'coverage_90')}
_AT_CHANGES = {'categorical': 'accuracy', 'binary': 'accuracy',
               'continuous': 'mean_absolute_error'}
_NOTES = {
    'categorical': 'Balanced: mean over the values that occur. Macro F1 also falls with false '
                   'alarms.',
    'binary': 'F1 of onsets and releases: matched one to one with true ones at most so many steps '
              'away. Persistence repeats each event one step late, so only its F1 at the step '
              'itself is a floor; for the others, see the events at random steps.',
    'continuous': 'Mean error, bias and tolerance are in units. Scale: mean size of what is said '
                  'by that of the truth. Of labels that know how sure they are, the 50 % interval '
                  'holds the truth in 0.5 of all steps.'}
_LINES = {IDM: figures.COLOURS[2], CEILING: figures.COLOURS[5]}
_DASHES = (0, (5, 3))


def page(audit, comparison=None):
  """Makes the page of an audit: HTML. `comparison` is None: runs of parts are not compared."""
  assert comparison is None
  about = audit['about']
  sections = {
      'verdict': ('What it says', audit_report.verdict(audit)),
      'environments': ('Numbers', join(map(_environment, audit['environments']))),
      'details': ('Part by part', join(_details(environment, part, (i, p))
                                       for i, environment in enumerate(audit['environments'])
                                       for p, part in enumerate(environment['parts']))),
      'temperature': ('Temperatures', audit_report.temperatures(audit)),
      'about': ('What was audited', audit_report.about_section(
          audit, part_findings.KINDS, 'part_'))}
  return report_page.page(
      about, 'Can these labels be trusted?',
      html('What the inverse dynamics model of <b>{}</b> ({}, step {:,}) says of transitions whose '
           'actions are known, part by part.', about['run'], about['method'], about['step']), 0,
      sections)


def _environment(environment):
  known = [part for part in environment['parts'] if 'unknown' not in part]
  tables = [_table(kind, [part for part in known if part['kind'] == kind])
            for kind in _COLUMNS if any(part['kind'] == kind for part in known)]
  missing = [f'{part["name"]}, {part_findings.TITLES[who]}: unknown, {why}'
             for part in known for who, why in part['references'].items()]
  missing += [f'{part["name"]}: {part["unknown"]}' for part in environment['parts']
              if 'unknown' in part]
  return join([
      html('<h3>{}</h3><p>{:,} transitions of {:,} episodes.</p>', environment['name'],
           environment['num_transitions'], environment['num_episodes']),
      *tables, _keys(environment['keys']), _d2e(environment['d2e']),
      audit_report.note('In a table all are judged on the same transitions: those whose truth, and '
                        'that of the step before, is known. Intervals: 95 %, over episodes.'),
      missing and report_page.bullets(missing)])


def _table(kind, parts):
  """A table of the parts of a kind: a row for each who says something."""
  columns, rows = _COLUMNS[kind], []
  for part in parts:
    unit = f', {part["unit"]}' if part.get('unit') else ''
    compared, changed = part['compared'], part['at_changes']
    rows.append(f'{part["name"]}{unit}: {compared["num_transitions"]:,} transitions of '
                f'{compared["num_episodes"]:,} episodes, {changed["num_transitions"]:,} changes')
    for who, found in compared['figures'].items():
      rows.append([part_findings.TITLES[who], *(_cell(found.get(key)) for key in columns),
                   _cell(changed['figures'].get(who, {}).get(_AT_CHANGES[kind]))])
    if kind == 'binary':
      rows += _binary_rows(part)
  titles = [part_findings.FIGURES[key] for key in columns]
  return join([
      report_page.table(['', *titles, f'{part_findings.FIGURES[_AT_CHANGES[kind]]}, at changes'],
                        rows, f'Parts that are {kind}.'), audit_report.note(_NOTES[kind])])


def _binary_rows(part):
  """Rows with fitted thresholds, and of the average precision."""
  thresholds = part['thresholds']
  rows = []
  if 'unknown' not in thresholds:
    rows.append(f'{part["name"]}, thresholds fitted to {thresholds["num_episodes_fitted"]:,} '
                f'episodes, scored on {thresholds["num_episodes"]:,} others')
    for who, found in thresholds['figures'].items():
      fitted = thresholds['fitted'].get(who)
      title = part_findings.TITLES[who] + (f', from {fitted:.3g}' if fitted is not None else '')
      rows.append([title, *(_cell(found.get(key)) for key in _COLUMNS['binary']), '–'])
  precisions = '; '.join(f'{part_findings.TITLES[who]} {part_findings.number(found)}'
                         for who, found in part['average_precision'].items())
  rows.append(f'{part["name"]}, average precision: {precisions}; prevalence '
              f'{part["prevalence"]:.2f}')
  return rows


def _cell(found):
  if found is None or found['value'] is None:
    return '–'
  if found['low'] is None:
    return _three(found['value'])
  return join([_three(found['value']), muted(f'{_three(found["low"])} to {_three(found["high"])}')],
              '<br>')


def _three(x):
  return number(round(x, 3) + 0., 3)  # -0 is 0.


def _keys(keys):
  if not keys:
    return ''
  blocks = [(title, keys[key]) for key, title in (
      ('labels', 'labels'), ('thresholds', 'with fitted thresholds, on the other half'))
            if 'unknown' not in keys[key]]
  who = dict.fromkeys(name for _, block in blocks for name in block)
  return report_page.table(
      ['', *(title for title, _ in blocks)],
      [[part_findings.TITLES[name], *(_cell(block.get(name)) for _, block in blocks)]
       for name in who], 'Share of steps with all keys right.')


def _d2e(found):
  if 'unknown' in found:
    return audit_report.note(f'D2E has no score of this: {found["unknown"]}.')
  columns = list(next(iter(found['figures'].values())))
  axes = ', '.join(f'{axis}: {name}' for axis, name in found['axes'].items())
  seconds = found['step_seconds']
  length = (f'Steps are {1000 * seconds:.3g} ms.' if seconds else
            'Nothing says how long a step is: each counts as a bin.')
  return join([
      report_page.table(
          ['', *(part_findings.FIGURES[key] for key in columns)],
          [[part_findings.TITLES[who], *(_cell(figures_[key]) for key in columns)]
           for who, figures_ in found['figures'].items()], 'By the rules of D2E.'),
      audit_report.note(f'Events in bins of 50 ms, see alpt_jax/measures/d2e.py; keys: '
                        f'{", ".join(found["keys"])}; {axes}. {length}')])


def _details(environment, part, place):
  if 'unknown' in part:
    return ''
  name = '-'.join(map(str, place))
  pictures = [_PICTURES[part['kind']](part, f'part-{name}')]
  if part['kind'] != 'continuous':
    pictures.append((figures.plot_svg(
        lambda ax: audit_report.draw_reliability(
            ax, ((part['calibration'], audit_report.LINE, 'o'),)),
        'Reliability', 'confidence', 'share right', f'reliability-{name}'),
                     'A point for each of 15 bins of equally many transitions; on the dashed line, '
                     'confidence is the share that is right.'))
  if 'unknown' not in part['lag']:
    y_label = 'correlation of increments' if part['kind'] == 'continuous' else 'share right'
    pictures.append((audit_report.lag_picture(part['lag'], y_label, f'lag-{name}'),
                     'What is said compared with what was done so many transitions later. The '
                     'highest bar must be at 0.'))
  main = part['main']
  return report_page.fold(
      html('<b>{}</b>, {}: {} {}', part['name'], environment['name'],
           part_findings.FIGURES[main['figure']], part_findings.number(main['values'][IDM])),
      report_page.grid([picture for picture in pictures if picture]),
      label_section.matrix(part['names'], part['confusion'], 'Values')
      if part['kind'] != 'continuous' else '', is_open=place == (0, 0))


def _scatter(part, name):
  """Predicted against true; floors and ceiling as the line that each says on average."""
  picture = part['picture']
  ends = np.array([part['low'], part['high']])

  def draw(ax):
    ax.plot(picture['true'], picture['predicted'], '.', color=_LINES[IDM], markersize=3, alpha=.5)
    ax.plot(ends, ends, color=figures.MUTED, lw=.9)
    for style, (a, b) in zip(styles, picture['lines'].values(), strict=True):
      ax.plot(ends, a + b * ends, color=style.colour, lw=1.4, ls=_DASHES)
    if picture['true']:
      low, high = np.min(picture['true']), np.max(picture['true'])
      margin = .05 * (high - low) or 1.
      ax.set_xlim(low - margin, high + margin)
      ax.set_ylim(low - margin, high + margin)

  styles = _styles(picture['lines'])
  unit = f', {part["unit"]}' if part['unit'] else ''
  return (join([report_page.legend(styles), figures.plot_svg(
      draw, f'{part["name"]}: predicted and true', f'true{unit}', f'predicted{unit}', name)], ''),
          'A point for each of some transitions. Dashed: what the IDM, floors and the ceiling say '
          'on average, by the truth; the nearer to the thin diagonal, the less they shrink it.')


def _by_collar(part, name):
  """F1 of events of the IDM by collar; floors and ceiling as lines."""
  thresholds = part['thresholds']
  block = part['compared'] if 'unknown' in thresholds else thresholds
  keys = [f'event_f1_{collar}' for collar in events.COLLARS]
  shown = {who: [found[key]['value'] for key in keys] for who, found in block['figures'].items()
           if all(key in found and found[key]['value'] is not None for key in keys)
           and who != PERSISTENCE}
  if IDM not in shown:
    return None
  styles = _styles(shown)

  def draw(ax):
    for style, (who, values) in zip(styles, shown.items(), strict=True):
      ax.plot(events.COLLARS, values, color=style.colour, lw=1.8 if who == IDM else 1.2,
              ls='-' if who == IDM else _DASHES, marker=style.marker, markersize=4)
    ends = [[found['value'] - found['low'], found['high'] - found['value']]
            if found['low'] is not None else [0, 0]
            for found in (block['figures'][IDM][key] for key in keys)]
    ax.errorbar(events.COLLARS, shown[IDM], yerr=np.maximum(np.transpose(ends), 0),
                color=_LINES[IDM], lw=1, capsize=3)
    ax.set_xticks(events.COLLARS)
    ax.set_ylim(0, 1.02)

  fitted = '' if 'unknown' in thresholds else ', thresholds fitted to others'
  return (join([report_page.legend(styles), figures.plot_svg(
      draw, f'{part["name"]}: onsets and releases', 'largest distance of a match, steps', 'F1',
      name)], ''), f'F1 of events{fitted}; floors and ceiling dashed.')


def _by_who(part, name):
  """The main figure of the IDM; floors and ceiling as lines."""
  main = part['main']
  shown = {who: x for who, x in main['values'].items() if x['value'] is not None}
  styles = _styles(shown)

  def draw(ax):
    for style, (who, found) in zip(styles, shown.items(), strict=True):
      if who != IDM:
        ax.axhline(found['value'], color=style.colour, lw=1.2, ls=_DASHES)
      elif found['low'] is None:
        ax.plot([0], [found['value']], style.marker, color=style.colour)
      else:
        ax.errorbar([0], [found['value']], yerr=np.maximum([
            [found['value'] - found['low']], [found['high'] - found['value']]], 0),
                    color=style.colour, marker=style.marker, capsize=4)
    ax.set_xticks([])
    ax.set_ylim(0, 1.02)

  return (join([report_page.legend(styles), figures.plot_svg(
      draw, part['name'], '', part_findings.FIGURES[main['figure']], name)], ''),
          'Floors and ceiling dashed.')


def _styles(names):
  """A `figures.Style` for each, in colours of their own."""
  rest = [colour for colour in figures.COLOURS if colour not in _LINES.values()]
  others = [name for name in names if name not in _LINES]
  return [figures.Style(
      part_findings.TITLES[name], _LINES.get(name) or rest[others.index(name) % len(rest)],
      'o' if name == IDM else 's') for name in names]


_PICTURES = {'continuous': _scatter, 'binary': _by_collar, 'categorical': _by_who}
