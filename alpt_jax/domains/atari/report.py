"""The report of the Atari experiment: one HTML file on what sections 5.3 to 5.5 claim.

Its numbers come from `findings_atari`, its pictures from `figures`; here they become sentences and
tables.
"""

import math

from alpt_jax.domains.atari import claims, report_aggregates, report_claims, report_floors
from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.domains.atari import report_settings as shown
from alpt_jax.measures import curves as statistics
from alpt_jax.reports import findings, label_section
from alpt_jax.reports import page as report_page

_e = report_page.escape

_MAX_CHECKPOINTS = 12  # Longer tables are folded.


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
           f'random play {shown.points(statistics.value(game, "random"))}, '
           f'human {shown.points(statistics.value(game, "human"))}']
  text = '<br>'.join(line for line in lines if line)
  num_digits = shown.num_digits(findings_atari.best_checkpoint(game))
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


claim_rows = report_claims.claim_rows
PLACES = 'target games'
# Of studies of budgets.
groups, majority, levels = findings_atari.groups, findings_atari.majority, findings_atari.levels
floor_tables = report_floors.tables


def problems(results):
  """Runs that failed, are missing, lack numbers or differ in versions: a list of sentences."""
  return findings_atari.run_problems(results)


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
  kept = results.get('episodes', [])
  if not kept:
    return '<p>None was kept.</p>'
  pictures = []
  for episode in kept:
    name = f'{findings.label(results, episode["method"])} plays {episode["target"]}'
    every = ('' if episode['every'] == 1 else
             f', every {report_page.count(episode["every"])}th frame of what it saw')
    pictures.append(
        f'<figure><img class="episode" alt="{_e(name)}" '
        f'src="data:image/gif;base64,{episode["gif"]}"><figcaption><b>{_e(name)}</b><br>'
        f'{shown.points(episode["score"])} points in '
        f'{report_page.count(episode["num_steps"])} steps'
        f'{every}; seed {_e(str(episode["seed"]))}</figcaption></figure>')
  return '\n'.join([
      '<p>Of each game the best episode of the last evaluation, of the first seeds of all agents: '
      'better than the mean, which is in the table of scores.</p><div class="mazes">', *pictures,
      '</div>'])


def _downloads(results):
  return report_page.downloads(results, {
      'final.csv': (findings_atari.final_metrics(results), 'the final metrics'),
      'claims.csv': (report_claims.flat(results), 'the comparisons behind the claims'),
  }, 'config, games, runs and rows')


SECTIONS = {  # Id: title, content.
    'floors': ('Between floors and ceiling', report_floors.section),
    'found': ('The paper’s claims', report_claims.section),
    'run': ('What was run', _what_was_run),
    'games': ('The games’ data', _games),
    'labels': ('Labels of hidden actions', shown.labels),
    'scores': ('Game scores', shown.scores),
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
    rows.append([shown.panel(results, here[c]) if c in here else None for c in columns])
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
               + (shown.amount(part, entry[f'{metric}/mean']) if entry['done'] else '(none done)')
               for entry in shown.entries(table, setting)]
      means += [f'({name} {shown.amount(part, level)})'
                for name, level in shown.anchors_of(results, setting).items()
                if math.isfinite(level)]
      lines.append(f'{shown.title_of(setting)}: {what}: {", ".join(means)}')
  lines += report_floors.sentences(results)
  found = claims.claims(results)
  measured = [finding for finding in found if finding.comparisons]
  lines += [f'{finding.claim.text}: {findings.verdict_text(finding.verdict, results).lower()}: '
            f'{report_claims.differences(finding)}.' for finding in measured]
  num_others = len(found) - len(measured)
  if num_others:
    lines.append('1 other claim of the paper is not measured.' if num_others == 1 else
                 f'{num_others} other claims of the paper are not measured.')
  return lines
