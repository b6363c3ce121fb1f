"""Builds the report's section on floors, ceilings and blind agents.

Two tables, the primary ones of the page: label accuracy between what needs no inverse dynamics and
a ceiling by enumeration, and scores beside those of agents that look at nothing. Its numbers come
from `findings_floors`.
"""

import math
from typing import NamedTuple

from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.domains.atari import findings_floors
from alpt_jax.measures import blindness, floors, intervals
from alpt_jax.reports import findings, page
from alpt_jax.reports.page import html, join

_NONE = '–'
_BLIND_NAMES = {'markov chain': 'Markov chain', 'repeat': 'repeats the last action'}
_KINDS = {findings_floors.FLOOR: 'floor', findings_floors.METHOD: '',
          findings_floors.CEILING: 'ceiling'}


def _interval(interval, digits=3):
  """E.g. '0.500 [0.400, 0.600]'; a dash for None."""
  if interval is None or interval.value is None:
    return _NONE
  if interval.low is None:
    return page.number(interval.value, digits)
  return (f'{interval.value:,.{digits}f} '
          f'[{interval.low:,.{digits}f}, {interval.high:,.{digits}f}]')


def _share(row):
  if row.share is None:
    return _NONE
  return f'{row.share:.3f}' + (f' {row.action}' if row.action else '')


def _constant(row):
  if not row.num_constant:
    return ''
  return ('constant labels' if row.num_constant == row.num_runs else
          f'constant labels in {row.num_constant} of {row.num_runs} runs')


def label_cells(row):
  """Formats a `findings_floors.LabelRow` as a list of texts, under LABEL_HEADER."""
  kind = _KINDS[row.kind]
  name = f'{row.name} ({kind})' if kind and kind not in row.name.lower() else row.name
  return [name, _interval(row.accuracy) if row.accuracy else _constant(row) or _NONE,
          _interval(row.above_floor), _share(row), _interval(row.random_draws),
          _interval(row.voted), str(row.num_runs) if row.num_runs else '']


LABEL_HEADER = ('', 'labels right', 'of the way from floor to ceiling', 'most frequent label',
                'right on random draws', 'right where all windows vote', 'runs')
_VOTED = 5  # Its column.
AGENT_HEADER = ('', 'score', 'games', 'best that looks at nothing', 'best checkpoint',
                'of the way from random to it', 'most frequent action', 'longest run',
                'games cut', 'looks?')


def agent_cells(row):
  """Formats a `findings_floors.AgentRow` as a list of texts, under AGENT_HEADER."""
  score = (_interval(row.score, 1) if row.score.low is not None else page.number(row.score.value, 1)
           + ('' if row.standard_error is None else f' (s.e. {row.standard_error:.2g})'))
  blind = (_NONE if row.blind_score is None else
           f'{page.number(row.blind_score, 1)} '
           f'({_BLIND_NAMES.get(row.best_blind, row.best_blind)})')
  return [row.name, score, f'{row.num_games:,}', blind, _checkpoint(row),
          page.number(row.of_best, 2), page.number(row.share, 3),
          page.count(row.longest_run), page.count(row.num_cut), looks(row)]


def _checkpoint(row):
  """E.g. '29.0 [24.1, 33.9], 12 episodes'; the mean alone where no more is known."""
  if row.checkpoint is None:
    return page.number(row.best_checkpoint, 1)
  n, digits = row.checkpoint.n, 1 if abs(row.best_checkpoint) < 1000 else 0
  return f'{_interval(row.checkpoint, digits)}, {n:,} episode{"s" if n != 1 else ""}'


def _about_checkpoint(rows):
  """What the best checkpoint in a table of agents is; '' where none is known."""
  row = next((row for row in rows if math.isfinite(row.best_checkpoint)), None)
  if row is None:
    return ''
  interval = ('' if row.checkpoint is None or row.checkpoint.low is None else
              ', 95 % interval over its episodes (Student’s t)')
  return (f' Best checkpoint: the recorded play, mean score{interval}, by the protocol of the '
          f'recording ({_protocol(row.recorded)}), not by that of the agents '
          f'({_protocol(row.played)}).')


def _protocol(protocol):
  parts = [text.format(protocol[key]) for key, text in (
      ('sticky', 'sticky actions {:g}'), ('max_steps', 'at most {:,} steps')) if key in protocol]
  return ', '.join(parts) or 'not known here'


def looks(row):
  """Says whether an agent looks.

  Args:
    row: a `findings_floors.AgentRow`.

  Returns:
    E.g. 'yes; by loss, 0.310 nats [0.280, 0.340]; by score, 1.3 instead of 11.0 points'. Where a
    criterion is unknown or they differ, each has its own word: 'cannot tell; by loss yes, ...'.
  """
  if row.rise is None:
    return 'unknown'
  number, *ends = _interval(row.rise).split(' ', 1)
  loss = ' '.join([f'{number} nats', *ends]) + (
      '' if row.is_held_out else ' on episodes it was trained on')
  score = ('not measured' if row.exchanged_score is None else
           f'{page.number(row.exchanged_score, 1)} instead of '
           f'{page.number(row.own_score, 1)} points')
  word, *words = (_verdict(*counts, row.num_agents) for counts in (
      (row.num_blind, row.num_looking), row.by_loss, row.by_score))
  if words != [word, word]:
    loss, score = f'{words[0]}: {loss}', (
        score if row.exchanged_score is None else f'{words[1]}: {score}')
  return f'{word}; by loss, {loss}; by score, {score}'


def _verdict(num_blind, num_looking, num_runs):
  """E.g. 'yes', 'blind in 1, cannot tell in 2 of 3 runs'."""
  counts = {'yes': num_looking, 'blind': num_blind,
            'cannot tell': num_runs - num_looking - num_blind}
  found = {word: n for word, n in counts.items() if n}
  if len(found) == 1:
    return next(iter(found))
  return ', '.join(f'{word} in {n}' for word, n in found.items()) + f' of {num_runs} runs'


def _over(rows):
  """What the intervals of rows are over, as a sentence."""
  kinds = {row.accuracy.over for row in rows
           if row.accuracy and row.kind != findings_floors.CEILING}
  text = ' '.join(intervals.caption(kind) for kind in sorted(kinds))
  if kinds == {intervals.SEEDS}:
    text += ' That of the ceiling: over episodes.'
  return text


class Table(NamedTuple):
  """A table of texts: a title, a header, rows of cells, and what its intervals are over."""
  title: str
  header: tuple[str, ...]
  rows: list[list[str]]
  caption: str


def label_tables(results):
  """Makes a `Table` for each setting of the IDMs alone whose runs have floors."""
  found = []
  for setting in findings_atari.settings(results, findings.LABELS):
    rows = findings_floors.label_rows(results, setting)
    if rows:
      title = f'{setting.target}: label accuracy at {setting.num_labels:,} labels'
      header, cells = LABEL_HEADER, list(map(label_cells, rows))
      if all(row.voted is None for row in rows):  # Only some studies measure it.
        header, *cells = ([*row[:_VOTED], *row[_VOTED + 1:]] for row in (header, *cells))
      found.append(Table(title, tuple(header), cells, _over(rows)))
  return found


def agent_tables(results):
  """Makes a `Table` for each setting of agents whose runs have floors."""
  found = []
  for setting in findings_atari.settings(results, findings.SCORE):
    rows = findings_floors.agent_rows(results, setting)
    if rows:
      is_one = all(row.score.low is None for row in rows)
      found.append(Table(
          f'{setting.target}: agents with {setting.num_labels:,} labels', AGENT_HEADER,
          list(map(agent_cells, rows)),
          ('s.e.: standard error over the games of one run.' if is_one
           else intervals.caption(intervals.SEEDS)) + _about_checkpoint(rows)))
  return found


_FLOORS = {findings_floors.MAJORITY: 'the most frequent action',
           findings_floors.TABLE: 'a table of the change between two observations',
           findings_floors.LINEAR: 'a linear map of the change between two observations'}


def _about_labels(rows):
  """What label accuracy is between, by the floors and the ceiling that were measured."""
  names = dict.fromkeys(_floor_name(row.name) for row in rows if row.kind == findings_floors.FLOOR)
  return html('<p>{}</p>', join([
      'The share of hidden actions that labels get right, at the last evaluation.',
      names and html('<i>Floors</i> need no inverse dynamics: {}, all from the same labels.',
                     page.listed(list(names))),
      any(row.kind == findings_floors.CEILING for row in rows) and html(
          '<i>The ceiling</i> is a reference by enumeration: all actions are tried in the '
          'emulator, and the likeliest is named. It is what o[t + 1] and o[t + 2] tell to whoever '
          'knows only how often each action is played; an IDM that sees its whole window may know '
          'more of the policy, and pass it. <i>Of the way</i>: (accuracy − highest floor) / '
          '(ceiling − highest floor).'),
      'On steps whose action was drawn at random, no habit of the player helps to guess it. Labels '
      f'of which more than {floors.CONSTANT_SHARE:g} are one action are constant, and nothing else '
      'is computed from them.'], ' '))


def _floor_name(row_name):
  if row_name.endswith(findings_floors.AS_LABELLER):
    return 'an agent that is told the return-to-go, but not shown the next observation'
  return _FLOORS.get(row_name, 'a network that sees the past only')


_BLIND = {'random': 'at random', 'markov chain': 'a Markov chain of the recording’s actions',
          'repeat': 'its rate of repeating the last one'}


def _about_agents(runs):
  """What scores stand beside, by the blind agents that were played, and what blind means, HTML."""
  played = findings_floors.blind_scores(runs)
  ways = dict.fromkeys(_BLIND.get(name, 'one action only') for name in played)
  return html(
      '<p>{} An agent is <i>blind by its loss</i> if exchanging the images of a window for those '
      'of another one of the same episode raises its loss on actions by less than {:g} nats, with '
      '95 % confidence over episodes: episodes of which its training knew no action, but for '
      'agents that were given all actions (oracles), which are judged on episodes that training '
      'knew, unless there is another recording; the table says which. It is <i>blind by its '
      'score</i> if that stays inside its own 95 % interval over games, or rises above it, when it '
      'is shown the images of {} steps before. It looks if it looks by both: its loss rises by at '
      'least as much with 95 % confidence, and its score falls by more than chance of both sets of '
      'games explains (95 % interval of the difference). Of fewer than {} episodes or games, and '
      'between the two, nothing can be told.</p>',
      'Scores beside those of agents that look at nothing, played by the same evaluator: '
      f'{page.listed(list(ways))}.' if ways else 'Agents that look at nothing were not played.',
      blindness.SMALLEST_RISE, blindness.DELAY, blindness.FEWEST_EPISODES)


def section(results):
  """Shows both kinds of tables, HTML."""
  parts = []
  rows = [row for setting in findings_atari.settings(results, findings.LABELS)
          for row in findings_floors.label_rows(results, setting)]
  for about, tables in ((_about_labels(rows), label_tables(results)),
                        (_about_agents(results['runs']), agent_tables(results))):
    parts += [about] if tables else []
    for title, header, cells, caption in tables:
      parts += [html('<h3>{}</h3>', title), page.table(header, cells, caption)]
  return join(parts) or html('<p>Not measured in this experiment.</p>')


def tables(results):
  """Labels between floors and ceiling, and agents beside blind ones: all tables."""
  return [*label_tables(results), *agent_tables(results)]


def sentences(results):
  """Writes the tables as lines of text: a list, empty if nothing was measured."""
  lines = []
  for title, header, rows, _ in tables(results):
    lines += [f'{title}:', *page.lines(header, rows)]
  return lines
