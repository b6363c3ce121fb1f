"""The part of an Atari report that says what its numbers are worth: floors, ceiling, blind agents.

Two tables, the primary ones of the page: label accuracy between what needs no inverse dynamics and
a ceiling by enumeration, and scores beside those of agents that look at nothing. Its numbers come
from `findings_floors`.
"""

import math
from typing import NamedTuple

from alpt_jax.domains.atari import findings, findings_floors
from alpt_jax.measures import blindness, floors, intervals
from alpt_jax.reports import page

_e = page.escape
_NONE = '–'
_BLIND_NAMES = {'markov chain': 'Markov chain', 'repeat': 'repeats the last action'}
_KINDS = {findings_floors.FLOOR: 'floor', findings_floors.METHOD: '',
          findings_floors.CEILING: 'ceiling'}


def _number(x, digits=3):
  return _NONE if x is None or not math.isfinite(x) else f'{x:,.{digits}f}'


def _points(score):
  return _number(score, 1 if score is None or abs(score) < 1000 else 0)


def _interval(interval, digits=3):
  """E.g. '0.500 [0.400, 0.600]'; a dash for None."""
  if interval is None or interval.value is None:
    return _NONE
  if interval.low is None:
    return _number(interval.value, digits)
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
  """A `findings_floors.LabelRow` as a list of texts, under LABEL_HEADER."""
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
  """A `findings_floors.AgentRow` as a list of texts, under AGENT_HEADER."""
  score = (_interval(row.score, 1) if row.score.low is not None else _points(row.score.value)
           + ('' if row.standard_error is None else f' (s.e. {row.standard_error:.2g})'))
  blind = (_NONE if row.blind_score is None else
           f'{_points(row.blind_score)} ({_BLIND_NAMES.get(row.best_blind, row.best_blind)})')
  return [row.name, score, f'{row.num_games:,}', blind, _checkpoint(row),
          _number(row.of_best, 2), _number(row.share),
          _NONE if row.longest_run is None else f'{row.longest_run:,}',
          _NONE if row.num_cut is None else f'{row.num_cut:,}', looks(row)]


def _checkpoint(row):
  """E.g. '29.0 [24.1, 33.9], 12 episodes'; the mean alone where no more is known."""
  if row.checkpoint is None:
    return _points(row.best_checkpoint)
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
           f'{_points(row.exchanged_score)} instead of {_points(row.own_score)} points')
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
  """A `Table` for each setting of the IDMs alone whose runs have floors, in a list."""
  found = []
  for setting in findings.settings(results, findings.LABELS):
    rows = findings_floors.label_rows(results, setting)
    if rows:
      title = f'{setting.target}: label accuracy at {setting.num_labels:,} labels'
      header, cells = LABEL_HEADER, list(map(label_cells, rows))
      if all(row.voted is None for row in rows):  # A study may ask for it.
        header, *cells = ([*row[:_VOTED], *row[_VOTED + 1:]] for row in (header, *cells))
      found.append(Table(title, tuple(header), cells, _over(rows)))
  return found


def agent_tables(results):
  """A `Table` for each setting of agents whose runs have floors, in a list."""
  found = []
  for setting in findings.settings(results, findings.SCORE):
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
_CEILING = (
    '<i>The ceiling</i> is a reference by enumeration: all actions are tried in the emulator, and '
    'the likeliest is named. It is what o[t + 1] and o[t + 2] tell to whoever knows only how often '
    'each action is played; an IDM that sees its whole window may know more of the policy, and '
    'pass it.')


def _about_labels(rows):
  """What label accuracy is between, by the floors and the ceiling that were measured, HTML."""
  names = dict.fromkeys(_floor_name(row.name) for row in rows if row.kind == findings_floors.FLOOR)
  return ' '.join([
      '<p>The share of hidden actions that labels get right, at the last evaluation.',
      *([f'<i>Floors</i> need no inverse dynamics: {page.listed(list(names))}, all from the '
         'same labels.'] if names else []),
      *([_CEILING, '<i>Of the way</i>: (accuracy − highest floor) / (ceiling − highest floor).']
        if any(row.kind == findings_floors.CEILING for row in rows) else []),
      'On steps whose action was drawn at random, no habit of the player helps to guess it. Labels '
      f'of which more than {floors.CONSTANT_SHARE:g} are one action are constant, and nothing else '
      'is computed from them.</p>'])


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
  return ' '.join([
      ('<p>Scores beside those of agents that look at nothing, played by the same evaluator: '
       f'{_e(page.listed(list(ways)))}.' if ways else
       '<p>Agents that look at nothing were not played.'),
      'An agent is <i>blind by its loss</i> if exchanging the images of a window for those of '
      'another one of the same episode raises its loss on actions by less than '
      f'{blindness.SMALLEST_RISE:g} nats, with 95 % confidence over episodes: episodes of which '
      'its training knew no action, but for agents that were given all actions (oracles), which '
      'are judged on episodes that training knew, unless there is another recording; the table '
      'says which. It is <i>blind by its score</i> if that stays inside its own 95 % interval over '
      f'games when it is shown the images of {blindness.DELAY} steps before. It looks if neither '
      'calls it blind.</p>'])


def section(results):
  """Both kinds of tables, HTML."""
  parts = []
  rows = [row for setting in findings.settings(results, findings.LABELS)
          for row in findings_floors.label_rows(results, setting)]
  for about, tables in ((_about_labels(rows), label_tables(results)),
                        (_about_agents(results['runs']), agent_tables(results))):
    parts += [about] if tables else []
    for title, header, rows, caption in tables:
      parts += [f'<h3>{_e(title)}</h3>', page.table(
          header, [list(map(_e, row)) for row in rows], caption)]
  return '\n'.join(parts or ['<p>Not measured in this experiment.</p>'])


def sentences(results):
  """The same in lines of text: a list, empty if nothing was measured."""
  lines = []
  for setting in findings.settings(results, findings.LABELS):
    rows = findings_floors.label_rows(results, setting)
    if rows:
      num_seeds = len({run['seed'] for m in setting.methods
                       for run in findings.runs_of(results, setting, m)})
      lines.append(f'{setting.target}, {setting.num_labels:,} labels, labels right '
                   f'({num_seeds} seed{"s" if num_seeds != 1 else ""}):')
      lines += [f'  {_label_sentence(row)}' for row in rows]
  for setting in findings.settings(results, findings.SCORE):
    rows = findings_floors.agent_rows(results, setting)
    if rows:
      lines.append(f'{setting.target}, {setting.num_labels:,} labels, agents:')
      lines += [f'  {_agent_sentence(row)}' for row in rows]
  return lines


def _label_sentence(row):
  name, accuracy, reached, share, draws, voted, _ = label_cells(row)
  text = f'{name}: {accuracy}'
  if reached != _NONE:
    text += f', {reached} of the way from the highest floor to the ceiling'
  if row.share is not None:
    text += f'; most frequent label {share}'
  text += f'; on random draws {draws}' if draws != _NONE else ''
  return text + (f'; where all windows vote {voted}' if voted != _NONE else '')


def _agent_sentence(row):
  name, score, games, blind, best, _, share, longest, cut, _ = agent_cells(row)
  return (f'{name}: {score} points, {games} games; best that looks at nothing {blind}, best '
          f'checkpoint {best}; most frequent action {share}, longest run {longest}, {cut} cut; '
          f'looks: {looks(row)}')


def tables(results):
  """Returns labels between floors and ceiling, and agents beside blind ones: all tables."""
  return [*label_tables(results), *agent_tables(results)]
