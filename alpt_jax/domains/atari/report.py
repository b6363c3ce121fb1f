"""The report of the Atari experiment: one HTML file on what sections 5.3 to 5.5 claim.

Its numbers come from `findings_atari`, its pictures from `figures`; here they become sentences and
tables.
"""

import math

import numpy as np

from alpt_jax.domains.atari import claims_cql, findings_floors, report_aggregates, report_floors
from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.measures import curves as statistics
from alpt_jax.measures import intervals
from alpt_jax.reports import figures, findings, label_section
from alpt_jax.reports import page as report_page

_e = report_page.escape

_STATES = ('done', 'unfinished', 'running', 'failed')
_FAR = ('human', 'best of data')  # Levels that may be far above what agents score.
_MAX_CHECKPOINTS = 12  # Longer tables are folded.


def _num_digits(score):
  return 1 if abs(score) < 1000 else 0


def _points(mean, std=math.nan):
  """A score, with a digit after the point below 1,000."""
  return report_page.number(mean, _num_digits(mean), std)


def _amount(part, mean, std=math.nan):
  return report_page.number(mean, 3, std) if part == findings_atari.LABELS else _points(mean, std)


def _styles(results):
  return figures.styles({m: findings.label(results, m) for m in results['methods']})


def _name(setting):
  return f'{setting.target}, {setting.num_labels:,} labels'


def _anchors(results, setting):
  """{name: level} of what needs no learning; floors and ceiling where they were measured."""
  game, measured = results['games'][setting.target], findings_floors.levels(results, setting)
  if setting.part == findings_atari.LABELS:
    return measured or {'majority action': statistics.value(game, 'majority_accuracy'),
                        'chance': statistics.value(game, 'chance_accuracy')}
  levels = {'random': statistics.value(game, 'random'), 'human': statistics.value(game, 'human'),
            'best of data': findings_atari.best_checkpoint(game)} | measured
  return {name: round(level, _num_digits(level)) if math.isfinite(level) else level
          for name, level in levels.items()}


def _curves(results, setting):
  """{method: (curve, whether its std is over episodes)} of what was evaluated."""
  curves = {m: findings_atari.curve(results, setting, m)
            for m in (*setting.methods, *setting.bounds)}
  return {m: drawn for m, drawn in curves.items() if drawn[0].n.any()}


def _limits(results, settings):
  """A y range for all settings of a target; human scores and the data's may be far above it."""
  levels = []
  for setting in settings:
    levels += [x for name, x in _anchors(results, setting).items() if name not in _FAR]
    for curve, _ in _curves(results, setting).values():
      std = np.nan_to_num(curve.std)
      levels += [*(curve.mean - std), *(curve.mean + std)]
  levels = [x for x in levels if math.isfinite(x)] or [0., 1.]
  low, high = min(levels), max(levels)
  if settings[0].part == findings_atari.LABELS:
    low, high = max(0., low), min(1., high)
  else:
    anchors, reach = _anchors(results, settings[0]), high + (high - low)
    high = max([high, *(anchors[name] for name in _FAR if anchors[name] <= reach)])
  margin = .06 * (high - low) or 1.
  return low - margin, high + margin


def _panel(results, setting):
  """The learning curves of a setting, as a `figures.Panel`."""
  styles = _styles(results)
  siblings = [s for s in findings_atari.settings(results, setting.part)
              if s.target == setting.target]
  title, unit = (('accuracy', 'share of hidden actions')
                 if setting.part == findings_atari.LABELS else ('score', 'points of a game'))
  title = (f'{setting.target}, {setting.num_labels:,} labels: {title}'
           if setting.part == findings_atari.LABELS or len(siblings) > 1
           else f'{setting.target}: {title}')
  return figures.Panel(
      title, unit, tuple((styles[m], curve) for m, (curve, _) in _curves(results, setting).items()),
      _anchors(results, setting), _limits(results, siblings))


def _caption(results, setting):
  """How many runs are behind a panel, which ones are left out, what the bands are."""
  counts, over_episodes = [], []
  for method in (*setting.methods, *setting.bounds):
    runs = findings_atari.runs_of(results, setting, method)
    name = findings.label(results, method)
    if method in setting.bounds:
      name += f' (with {setting.bounds[method]:,} labels)'
    counts.append(f'{name} {_states(runs)}')
    curve, is_over_episodes = findings_atari.curve(results, setting, method)
    if curve.n.any() and is_over_episodes:
      over_episodes.append(name)
  sentences = [f'Runs: {"; ".join(counts)}.']
  failed = [run['run'] for method in (*setting.methods, *setting.bounds)
            for run in findings_atari.runs_of(results, setting, method)
            if run['status'] == 'failed']
  if failed:
    sentences.append(f'Left out, as failed: {report_page.listed(failed)}.')
  if over_episodes:
    sentences.append('One run only, so the band is the deviation over its episodes: '
                     f'{report_page.listed(over_episodes)}.')
  return _e(' '.join(sentences))


def _states(runs):
  """E.g. '2 of 3 done, 1 failed'."""
  numbers = {state: sum(run['status'] == state for run in runs) for state in _STATES}
  rest = [f'{numbers[state]} {state}' for state in _STATES[1:] if numbers[state]]
  return ', '.join([f'{numbers["done"]} of {len(runs)} done' if rest else f'{len(runs)}', *rest])


def _badge(text):
  return f'<span class="badge">{_e(text)}</span>'


def _differences(finding):
  """E.g. 'differences +5.0 [4.1, 5.9], n = 5; +1.0 no interval: n = 1'."""
  found = []
  for comparison in finding.comparisons:
    part, pairs = finding.claim.part, comparison.pairs
    number = '' if pairs.interval.reason else f', n = {pairs.num_pairs}'
    found.append(f'{_difference(part, pairs)} {_between(part, pairs)}{number}')
  return f'difference{"s" if len(found) > 1 else ""} {"; ".join(found)}'


def _difference(part, pairs):
  """E.g. '+0.200'; a dash without pairs."""
  return ('–' if not math.isfinite(pairs.difference) else
          ('+' if pairs.difference > 0 else '')
          + _amount(part, pairs.difference).replace('-', '−'))


def _between(part, pairs):
  """The interval of a difference, e.g. '[0.10, 0.20]'."""
  return pairs.interval.reason or (
      f'[{_amount(part, pairs.interval.low)}, {_amount(part, pairs.interval.high)}]')


def _comparison_row(comparison, part):
  setting, pairs = comparison.setting, comparison.pairs
  return [f'<div class="wrap">{_e(_name(setting))}</div>', _amount(part, pairs.mean),
          _amount(part, pairs.baseline_mean), _difference(part, pairs), _e(_between(part, pairs)),
          str(pairs.num_pairs)]


def _claim_text(claim):
  return f'<p><b>{_e(claim.text)}.</b> <span class="muted">{_e(claim.section)}.</span></p>'


def _claim_card(results, finding):
  claim = finding.claim
  parts = ['<div class="card">',
           f'<p>{_badge(findings.verdict_text(finding.verdict, results))}</p>', _claim_text(claim)]
  body, last = [], None
  for comparison in sorted(finding.comparisons, key=lambda c: (c.method, c.baseline)):
    if (comparison.method, comparison.baseline) != last:
      last = comparison.method, comparison.baseline
      method, baseline = (_e(findings.label(results, m)) for m in last)
      body.append(f'{method} against {baseline}')
    body.append(_comparison_row(comparison, claim.part))
  what = 'labels right' if claim.part == findings_atari.LABELS else 'score'
  header = [what, 'method', 'against', 'difference', '95 % interval', 'seeds']
  return '\n'.join([*parts, report_page.table(header, body), '</div>'])


def _found(results):
  rule = (
      '<p>Last evaluations are compared seed by seed. '
      f'{_e(intervals.caption(intervals.SEEDS))} {_e(findings.why_exploratory(results))} Between '
      'methods that do not differ, one interval in twenty does not hold 0: several comparisons are '
      'no test of several claims.</p>')
  found = findings_atari.claims(results)
  cards = [_claim_card(results, finding) for finding in found if finding.comparisons]
  others = [_claim_text(finding.claim) for finding in found if not finding.comparisons]
  if others:
    cards.append(f'<div class="card"><p>{_badge("Not measured")}</p><p>The runs that would measure '
                 f'this were not part of the experiment:</p>{"".join(others)}</div>')
  return '\n'.join([rule, '<div class="grid" style="grid-template-columns:minmax(0,1fr)">', *cards,
                    '</div>'])


def _what_was_run(results):
  num_targets = len({run['target'] for run in results['runs']})
  return report_page.what_was_run(results, f'target game{"s" if num_targets != 1 else ""}')


def _is_recorded(results):
  return any(game.get('behaviour') for game in results['games'].values())


def _checkpoint_row(index, checkpoint, num_digits):
  epsilon, num_episodes, mean, std = (
      statistics.value(checkpoint, key)
      for key in ('epsilon', 'num_episodes', 'mean_score', 'std_score'))
  return [str(index), report_page.number(mean, num_digits, std), report_page.number(epsilon, 2),
          report_page.number(num_episodes, 0)]


def _game_card(name, game):
  counts = [f'{report_page.count(game[key])} {what}' for key, what in (
      ('num_episodes', 'episodes'), ('num_transitions', 'transitions')) if game.get(key)]
  lines = [f'{_e(game["role"])}' + (f', {_e(game["behaviour"])} behaviour'
                                    if game.get('behaviour') else ''),
           ', '.join(counts),
           f'random play {_points(statistics.value(game, "random"))}, '
           f'human {_points(statistics.value(game, "human"))}']
  text = '<br>'.join(line for line in lines if line)
  num_digits = _num_digits(findings_atari.best_checkpoint(game))
  rows = [_checkpoint_row(i, c, num_digits) for i, c in enumerate(game['checkpoints'])]
  table = report_page.table(
      ['checkpoint', 'score', 'random actions', 'episodes'], rows) if rows else ''
  if len(rows) > _MAX_CHECKPOINTS:
    table = f'<details><summary>{len(rows)} checkpoints</summary>{table}</details>'
  return f'<div class="card"><h3>{_e(name)}</h3><p class="small muted">{text}</p>{table}</div>'


def _games(results):
  notices = {}
  for name, game in results['games'].items():
    if game.get('notice'):
      notices.setdefault(game['notice'], []).append(name)
  parts = []
  if _is_recorded(results):
    parts.append(
        '<p><b>The data is recorded play, not DQN replay.</b> The paper trains on DQN replay from '
        'RL Unplugged. Here a behaviour with ever fewer random actions plays each game, and the '
        'result is stored as RL Unplugged stores it. What a game’s data holds, and how good its '
        'best checkpoint is, differs from the paper’s.</p>')
  if notices:
    parts.append(report_page.bullets(
        f'{_e(report_page.listed(games))}: <span class="muted">{_e(notice)}</span>'
        for notice, games in notices.items()))
  parts.append('<p>Scores are raw points of an episode as recorded, by the protocol of the '
               'recording: a game, or as much of it as its limit of steps allows; mean ± '
               'population standard deviation over the episodes of a checkpoint. “Random '
               'actions” is the share of actions drawn uniformly.</p>')
  return '\n'.join([*parts, '<div class="grid">',
                    *(_game_card(*item) for item in results['games'].items()), '</div>'])


def _shown_legend(results, settings):
  styles = _styles(results)
  present = {m for s in settings for m in (*s.methods, *s.bounds)}
  return report_page.legend([styles[m] for m in results['methods'] if m in present])


def _figures(results, settings):
  parts = [_shown_legend(results, settings), '<div class="grid">']
  for setting in settings:
    name = f'{setting.part}-{setting.target}-{setting.num_labels}'
    svg = figures.curves_svg(_panel(results, setting), name)
    parts.append(f'<figure>{svg}<figcaption>{_caption(results, setting)}</figcaption></figure>')
  return '\n'.join([*parts, '</div>'])


def _runs_cell(entry):
  missing = entry['planned'] - entry['done']
  text = f'{entry["done"]} of {entry["planned"]}' if missing else str(entry['done'])
  return text + (f'<br><span class="muted">{entry["failed"]} failed</span>'
                 if entry['failed'] else '')


def _sources_cell(entry):
  sources = entry['sources']
  if not sources:
    return 'none'
  return _e(sources[0]) if len(sources) == 1 else f'{len(sources)} games'


def _share_cell(entry, metric, digits=3):
  n = entry[f'{metric}/n']
  return report_page.number(entry[f'{metric}/mean'], digits, entry[f'{metric}/std']) + (
      f' <span class="muted">({n} of {entry["done"]})</span>' if 0 < n < entry['done'] else '')


def _group_title(results, setting):
  total = results['games'][setting.target].get('num_transitions')
  return f'{_e(_name(setting))}' + (
      f' <span class="muted">({100 * setting.num_labels / total:.2g} % of {total:,.0f} transitions)'
      '</span>' if total else '')


def _anchor_rows(results, setting, num_columns):
  """Rows of a final table: what needs no learning, and empty cells."""
  return [[_e(name), '', _amount(setting.part, level)] + [''] * (num_columns - 3)
          for name, level in _anchors(results, setting).items() if math.isfinite(level)]


def _absent_rows(results, setting, num_columns):
  """Rows of a final table: methods of this part that this setting lacks."""
  others = {m for s in findings_atari.settings(results, setting.part) for m in s.methods}
  return [[_e(findings.label(results, m)), '', '<span class="muted">not run</span>']
          + [''] * (num_columns - 3)
          for m in results['methods'] if m in others - {*setting.methods, *setting.bounds}]


def _entries(table, setting):
  """The entries of `findings_atari.final_metrics` of a setting, in the order of its methods."""
  return [entry for m in (*setting.methods, *setting.bounds) for entry in table
          if (entry['part'], entry['target'], entry['num_labels'], entry['method'])
          == (setting.part, setting.target, setting.bounds.get(m, setting.num_labels), m)]


def _steps_cell(results, entry, part):
  """Steps of the last evaluation, and of the pretraining before them."""
  before = {run.get('num_steps') for run in results['runs'] if run['phase'] == 'pretrain'
            and (run.get('part'), run['method']) == (part, entry['method'])} - {None}
  text = report_page.count(entry['step'])
  if before:
    text += f' <span class="muted">after {report_page.count(max(before))} of pretraining</span>'
  return text


def _labels(results):
  settings = findings_atari.settings(results, findings_atari.LABELS)
  if not settings:
    return '<p>Not part of this experiment.</p>'
  table = findings_atari.final_metrics(results)
  header = ['', 'sources', 'labels right', 'after steps', 'runs']
  body = []
  for setting in settings:
    body.append(_group_title(results, setting))
    for entry in _entries(table, setting):
      name = _e(findings.label(results, entry['method']))
      if entry['num_labels'] != setting.num_labels:
        name += f' <span class="muted">({entry["num_labels"]:,} labels)</span>'
      body.append([name, _sources_cell(entry), _share_cell(entry, findings_atari.ACCURACY),
                   _steps_cell(results, entry, findings_atari.LABELS), _runs_cell(entry)])
    body += _absent_rows(results, setting, len(header))
    body += _anchor_rows(results, setting, len(header))
  return '\n'.join([
      '<p>The IDM alone: the share of the target’s hidden actions that its labels get right, while '
      'it trains on the target’s labels; those with sources have been pretrained before step 0. '
      'Lines are means over seeds, bands one population standard deviation. Where some runs '
      'have ended the line is thin; where a number is missing it has a gap. Dashed: what needs '
      'no inverse dynamics and, where it was measured, the ceiling.</p>',
      _figures(results, settings), '<h3>In the end</h3>',
      '<p>The last evaluation of the runs that are done: mean ± population standard deviation over '
      'them.</p>', report_page.table(header, body)])


def _score_cell(entry):
  text = _points(entry['score/mean'], entry['score/std'])
  if 0 < entry['score/n'] < entry['done']:
    text += f' <span class="muted">({entry["score/n"]} of {entry["done"]})</span>'
  if entry['score/n'] == 1 and math.isfinite(entry.get('score/episodes_std', math.nan)):
    episodes = entry['score/episodes']
    text = (_points(entry['score/mean'], entry['score/episodes_std'])
            + f'<br><span class="muted">one run; over {report_page.count(episodes)} episodes'
            '</span>')
  return text


def _scores(results):
  settings = findings_atari.settings(results, findings_atari.SCORE)
  if not settings:
    return '<p>Not part of this experiment.</p>'
  table = findings_atari.final_metrics(results)
  header = ['', 'sources', 'score', 'human-normalised', 'labels right', 'after steps', 'runs']
  body = []
  for setting in settings:
    body.append(_group_title(results, setting))
    for entry in _entries(table, setting):
      body.append([
          _e(findings.label(results, entry['method'])), _sources_cell(entry), _score_cell(entry),
          _share_cell(entry, 'human_normalised'), _share_cell(entry, findings_atari.ACCURACY),
          _steps_cell(results, entry, findings_atari.SCORE), _runs_cell(entry)])
    body += _absent_rows(results, setting, len(header))
    body += _anchor_rows(results, setting, len(header))
  acting = findings_atari.score_metric(results).split('/')[0]
  return '\n'.join([
      f'<p>As Figure 2 of the paper: raw points while finetuning on the target, {_e(acting)} '
      'actions. Lines are means over seeds, bands one population standard deviation over seeds; '
      'where there is one seed only, over its episodes. Dashed: random play, human play, the best '
      'that looks at nothing, if it was measured, and the mean score of the best checkpoint in '
      'the data, as it was recorded; an arrow says that it is above the picture.'
      '</p>',
      _figures(results, settings), '<h3>In the end</h3>',
      '<p>The last evaluation of the runs that are done: mean ± population standard deviation. '
      'Human-normalised is 0 for random and 1 for human play. “Labels right” is the accuracy of '
      'the IDM that labels for the agent.</p>', report_page.table(header, body),
      _table_4(results)])


def problems(results):
  """Runs that failed, are missing, lack numbers or differ in versions: a list of sentences."""
  return findings_atari.run_problems(results)


def claim_rows(results):
  """The claims that the results are about, as a list of `findings.ClaimRow`."""
  rows = []
  for finding in findings_atari.claims(results):
    if finding.comparisons:
      measured = [_in_words(results, c, finding.claim.part) for c in finding.comparisons]
    else:
      measured = ['no two methods were run that it compares']
    rows.append(findings.ClaimRow(finding.claim.section, finding.claim.text, '; '.join(measured),
                                  finding.verdict))
  extra = (findings_atari.largest_gain(results), claims_cql.claim_row(results))
  return rows + [row for row in extra if row]


def _in_words(results, comparison, part):
  """E.g. 'Breakout, 500 labels: ALPT 9.2, DT1-IDM 4.2, difference [5.0, 5.0], n = 2'."""
  pairs = comparison.pairs
  return (f'{_name(comparison.setting)}: {findings.label(results, comparison.method)} '
          f'{_amount(part, pairs.mean)}, {findings.label(results, comparison.baseline)} '
          f'{_amount(part, pairs.baseline_mean)}, difference {_between(part, pairs)}, '
          f'n = {pairs.num_pairs}')


def _problems(results):
  problems = findings_atari.run_problems(results)
  rows = [[_e(run['run']), _e(findings.label(results, run['method'])), _e(run['target']),
           report_page.count(run['num_labels']), _e(str(run['seed'])), _e(run['phase']),
           f'<b>{_e(run["status"])}</b>' if run['status'] != 'done' else 'done',
           report_page.count(run.get('num_steps')), report_page.count(run.get('seconds'))]
          for run in results['runs']]
  header = ['run', 'method', 'target', 'labels', 'seed', 'phase', 'status', 'steps', 'seconds']
  return '\n'.join([
      report_page.bullets(map(_e, problems)) if problems else '<p>None: every run is done.</p>',
      '<details><summary>All runs</summary>', report_page.table(header, rows), '</details>'])


def _flat(results):
  """The comparisons behind the claims without nesting, for CSV."""
  for finding in findings_atari.claims(results):
    for comparison in finding.comparisons:
      setting, pairs = comparison.setting, comparison.pairs
      yield dict(
          claim=finding.claim.text, verdict=finding.verdict, part=setting.part,
          target=setting.target, num_labels=setting.num_labels, method=comparison.method,
          baseline=comparison.baseline, difference=pairs.difference, low=pairs.interval.low,
          high=pairs.interval.high,
          **{key: x for key, x in pairs._asdict().items() if key != 'interval'})


def _mistakes(results):
  """What the IDMs mix up: of every method and target, the first seed."""
  has_both = len({run['part'] for run in results['runs']}) > 1
  final = [dict(target=run['target'] if len({r['num_labels'] for r in results['runs']}) == 1 else
                f'{run["target"]}, {run["num_labels"]:,} labels',
                method=findings.label(results, run['method']) + (
                    ' (agent)' if run['part'] == findings_atari.SCORE and has_both else ''),
                seed=run['seed'], accuracy=accuracy)
           for run, accuracy in findings_atari.final_accuracies(results)]
  return '\n'.join([
      '<h3>Label accuracy per game</h3>', label_section.accuracy_table(final),
      '<h3>Confusion and examples</h3>', label_section.section(results.get('labellings', []))])


def _episodes(results):
  """The best episode that was kept of each game, as moving pictures."""
  shown = results.get('episodes', [])
  if not shown:
    return '<p>None was kept.</p>'
  pictures = []
  for episode in shown:
    name = f'{findings.label(results, episode["method"])} plays {episode["target"]}'
    every = ('' if episode['every'] == 1 else
             f', every {report_page.count(episode["every"])}th frame of what it saw')
    pictures.append(
        f'<figure><img class="episode" alt="{_e(name)}" '
        f'src="data:image/gif;base64,{episode["gif"]}"><figcaption><b>{_e(name)}</b><br>'
        f'{_points(episode["score"])} points in {report_page.count(episode["num_steps"])} steps'
        f'{every}; seed {_e(str(episode["seed"]))}</figcaption></figure>')
  return '\n'.join([
      '<p>Of each game the best episode of the last evaluation, of the first seeds of all agents: '
      'better than the mean, which is in the table of scores.</p><div class="mazes">', *pictures,
      '</div>'])


def _table_4(results):
  """CQL beside Table 4, HTML; '' if it was not run."""
  rows = claims_cql.rows(results)
  if not rows:
    return ''
  body = [[_e(row.game), f'{row.paper:,.1f}', _points(row.mean, row.std), str(row.num_seeds),
           _points(row.random), _points(row.human),
           *(f'{(x - row.random) / (row.human - row.random):.3f}' if math.isfinite(x) else '–'
             for x in (row.paper, row.mean))] for row in rows]
  note = '' if claims_cql.is_comparable(results) else (
      '<p>Not the same experiment: the paper trains for 100 iterations of 62,500 updates, on '
      '10,000 frames of DQN replay. “After steps” above says how many are made here.</p>')
  return '\n'.join([
      '<h3>Table 4</h3>', '<p>Conservative Q-learning on 10,000 labelled transitions: points of '
      'the paper, which gives no spread, and here, mean ± population standard deviation over '
      'seeds.</p>', note, report_page.table(
          ['', 'paper', 'here', 'seeds', 'random', 'human', 'paper, normalised',
           'here, normalised'], body)])


def _downloads(results):
  return report_page.downloads(results, {
      'final.csv': (findings_atari.final_metrics(results), 'the final metrics'),
      'claims.csv': (_flat(results), 'the comparisons behind the claims'),
  }, 'config, games, runs and rows')


SECTIONS = {  # Id: title, content.
    'floors': ('Between floors and ceiling', report_floors.section),
    'found': ('The paper’s claims', _found),
    'run': ('What was run', _what_was_run),
    'games': ('The games’ data', _games),
    'labels': ('Labels of hidden actions', _labels),
    'scores': ('Game scores', _scores),
    'aggregates': ('Across games', report_aggregates.section),
    'mistakes': ('What the IDM mixes up', _mistakes),
    'episodes': ('Episodes to watch', _episodes),
    'problems': ('Failed and missing runs', _problems),
    'data': ('Data', _downloads),
}


def page(results):
  """Returns the page, HTML."""
  found = problems(results)
  num_missing = findings.num_missing(results, found)
  recorded = (', on <b>recorded play instead of DQN replay</b>' if _is_recorded(results) else '')
  return report_page.page(
      results, 'Do source games help where few actions are known?',
      'Action-limited pretraining (ALPT; Venuto et al., 2023) on Atari: sections 5.3 to 5.5, run '
      f'again{recorded}.{_size(results)}', num_missing, SECTIONS,
      num_remarks=len(found) - num_missing)


def _size(results):
  """E.g. ' Models have 2 layers of 128, the paper’s 6 of 512.'; empty if the config is silent."""
  model = results['config'].get('model')
  layers, width = (model.get(key) if isinstance(model, dict) else None
                   for key in ('num_layers', 'd_model'))
  if layers is None or width is None:
    return ''
  return f' Models have {_e(str(layers))} layers of {_e(str(width))}, the paper’s 6 of 512.'


def panels(results):
  """Returns the curves as `figures.Panel`s: a row per target, label accuracies before scores."""
  settings = [s for part in (findings_atari.LABELS, findings_atari.SCORE)
              for s in findings_atari.settings(results, part)]
  rows = []
  columns = list(dict.fromkeys((s.part, s.num_labels) for s in settings))
  for target in dict.fromkeys(s.target for s in settings):
    here = {(s.part, s.num_labels): s for s in settings if s.target == target}
    rows.append([_panel(results, here[c]) if c in here else None for c in columns])
  return rows


def summary_lines(results):
  """Returns a line per setting with its methods' final metrics, a line per measured claim."""
  done = sum(run['status'] == 'done' for run in results['runs'])
  lines = [' '.join([f'atari, preset {results["preset"]}: {done} of {len(results["runs"])} runs '
                     'done.', *findings.size_lines(results), 'Final metrics:'])]
  table = findings_atari.final_metrics(results)
  for part, what, metric in (
      (findings_atari.LABELS, 'labels right', findings_atari.ACCURACY),
      (findings_atari.SCORE, 'score', 'score')):
    for setting in findings_atari.settings(results, part):
      means = [f'{findings.label(results, entry["method"])} '
               + (_amount(part, entry[f'{metric}/mean']) if entry['done'] else '(none done)')
               for entry in _entries(table, setting)]
      means += [f'({name} {_amount(part, level)})'
                for name, level in _anchors(results, setting).items() if math.isfinite(level)]
      lines.append(f'{_name(setting)}: {what}: {", ".join(means)}')
  lines += report_floors.sentences(results)
  found = findings_atari.claims(results)
  measured = [finding for finding in found if finding.comparisons]
  lines += [f'{finding.claim.text}: {findings.verdict_text(finding.verdict, results).lower()}: '
            f'{_differences(finding)}.' for finding in measured]
  num_others = len(found) - len(measured)
  if num_others:
    lines.append('1 other claim of the paper is not measured.' if num_others == 1 else
                 f'{num_others} other claims of the paper are not measured.')
  return lines
