"""Builds the report of the Atari experiment: sections beyond the generic report."""

from alpt_jax.domains.atari import (
    claims,
    claims_cql,
    findings_floors,
    metrics,
    report_aggregates,
    report_floors,
)
from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.measures import curves
from alpt_jax.reports import experiment, findings, page
from alpt_jax.reports.page import html, join, muted

_MAX_CHECKPOINTS = 12  # Longer tables are folded.


class Report(experiment.Report):
  """Games and their recordings, floors, the paper's claims, aggregates, episodes to watch."""
  title = 'Do source games help where few actions are known?'
  places = 'target games'
  environments = 'games'
  fields = findings_atari.FIELDS
  metrics = {name: metrics.METRICS[name] for name in (findings_atari.MAIN, 'human_normalised')}
  contents = 'config, games, runs and rows'

  @property
  def introduction(self):
    """What the paper is, what data it was run on, and how large the models are."""
    model = self.results['config'].get('model')
    layers, width = (model.get(key) if isinstance(model, dict) else None
                     for key in ('num_layers', 'd_model'))
    return join([
        'Action-limited pretraining (ALPT; Venuto et al., 2023) on Atari: sections 5.3 to 5.5, run '
        'again', self._is_recorded() and html(', on <b>recorded play instead of DQN replay</b>'),
        '.', None not in (layers, width) and f' Models have {layers} layers of {width}, the '
        'paper’s 6 of 512.'], '')

  def _is_recorded(self):
    return any(game.get('behaviour') for game in self.results['games'].values())

  def anchors(self, setting, metric):
    """Returns what needs no learning; floors and ceiling where they were measured."""
    game = self.results['games'][setting.target]
    if metric == findings_atari.MAIN:
      measured = findings_floors.levels(self.results, setting)  # In the protocol of the agents.
      random = {} if measured else {'random, published': curves.value(game, 'random')}
      return random | {'human, published': curves.value(game, 'human'),
                       'best of data': findings_atari.best_checkpoint(game)} | measured
    if metric != findings.ACCURACY:
      return {}
    measured = setting.part == findings.LABELS and findings_floors.levels(self.results, setting)
    return measured or {'majority': curves.value(game, 'majority_accuracy'),
                        'chance': curves.value(game, 'chance_accuracy')}

  def claim_rows(self):
    """Lists the claims of sections 5.3 to 5.5, and Table 4."""
    return claims.rows(self.results)

  def tables(self):
    """Adds the comparisons behind the claims to the final metrics."""
    return super().tables() | {
        'claims.csv': (claims.flat(self.results), 'the comparisons behind the claims')}

  def sections(self):
    """Floors first; games, Table 4, aggregates and episodes beside what all reports have."""
    more = {
        'floors': ('Between floors and ceiling', lambda: report_floors.section(self.results)),
        'games': ('The games’ data', self.games), 'table4': ('Table 4', self.table_4),
        'aggregates': ('Across games', lambda: report_aggregates.section(self.results)),
        'episodes': ('Episodes to watch', self.episodes)} | super().sections()
    order = ('floors', 'claims', 'run', 'games', 'labels', 'scores', 'table4', 'aggregates',
             'mistakes', 'episodes', 'problems', 'data')
    return {key: more[key] for key in order if key != 'table4' or claims_cql.rows(self.results)}

  def floor_tables(self):
    """Labels between floors and ceiling, and agents beside those that look at nothing."""
    return report_floors.tables(self.results)

  def more_lines(self):
    """Floors and ceiling of labels, and what scores are worth."""
    return report_floors.sentences(self.results)

  def games(self):
    """Describes the games' data."""
    notices = {}
    for name, game in self.results['games'].items():
      if game.get('notice'):
        notices.setdefault(game['notice'], []).append(name)
    return join([
        self._is_recorded() and html(
            '<p><b>The data is recorded play, not DQN replay.</b> The paper trains on DQN replay '
            'from RL Unplugged. Here a behaviour with ever fewer random actions plays each game, '
            'and the result is stored as RL Unplugged stores it. What a game’s data holds, and how '
            'good its best checkpoint is, differs from the paper’s.</p>'),
        notices and page.bullets(html('{}: {}', page.listed(games), muted(notice))
                                 for notice, games in notices.items()),
        html('<p>Scores are raw points of an episode as recorded, by the protocol of the '
             'recording: a game, or as much of it as its limit of steps allows; mean ± population '
             'standard deviation over the episodes of a checkpoint. “Random actions” is the share '
             'of actions drawn uniformly.</p><div class="grid">{}</div>',
             join(_game_card(*item) for item in self.results['games'].items()))])

  def episodes(self):
    """Shows the best episode that was kept of each game, as moving pictures."""
    kept = self.results.get('episodes', [])
    if not kept:
      return html('<p>None was kept.</p>')
    pictures = []
    for episode in kept:
      name = f'{self.label(episode["method"])} plays {episode["target"]}'
      every = ('' if episode['every'] == 1 else
               f', every {page.count(episode["every"])}th frame of what it saw')
      pictures.append(html(
          '<figure><img class="episode" alt="{0}" src="data:image/gif;base64,{1}"><figcaption>'
          '<b>{0}</b><br>{2} points in {3} steps{4}; seed {5}</figcaption></figure>', name,
          episode['gif'], page.number(episode['score'], 1), page.count(episode['num_steps']),
          every, episode['seed']))
    return html(
        '<p>Of each game the best episode of the last evaluation, of the first seeds of all '
        'agents: better than the mean, which is in the table of scores.</p><div class="mazes">\n{}'
        '\n</div>', join(pictures))

  def table_4(self):
    """Shows conservative Q-learning beside Table 4."""
    def normalised(row, x):
      return page.number((x - row.random) / (row.human - row.random), 3)

    body = [[row.game, f'{row.paper:,.1f}', page.number(row.mean, 1, row.std), row.num_seeds,
             page.number(row.random, 1), page.number(row.human, 1), normalised(row, row.paper),
             normalised(row, row.mean)] for row in claims_cql.rows(self.results)]
    return join([
        html('<p>Conservative Q-learning on 10,000 labelled transitions: points of the paper, '
             'which gives no spread, and here, mean ± population standard deviation over seeds. '
             'Random and human: published, of another protocol; normalised by these.</p>'),
        not claims_cql.is_comparable(self.results) and html(
            '<p>Not the same experiment: the paper trains for 100 iterations of 62,500 updates, on '
            '10,000 frames of DQN replay. “After steps” above says how many are made here.</p>'),
        page.table(['', 'paper', 'here', 'seeds', 'random', 'human', 'paper, normalised',
                    'here, normalised'], body)])


def _game_card(name, game):
  counts = [f'{page.count(game[key])} {what}' for key, what in (
      ('num_episodes', 'episodes'), ('num_transitions', 'transitions')) if game.get(key)]
  lines = [game['role'] + (f', {game["behaviour"]} behaviour' if game.get('behaviour') else ''),
           ', '.join(counts), f'published: random play {page.number(game.get("random"), 1)}, human '
           f'{page.number(game.get("human"), 1)}']
  rows = [[str(i), page.number(c.get('mean_score'), 1, curves.value(c, 'std_score')),
           page.number(c.get('epsilon'), 2), page.count(c.get('num_episodes'))]
          for i, c in enumerate(game['checkpoints'])]
  table = page.table(['checkpoint', 'score', 'random actions', 'episodes'], rows) if rows else ''
  if len(rows) > _MAX_CHECKPOINTS:
    table = page.fold(f'{len(rows)} checkpoints', table)
  return html('<div class="card"><h3>{}</h3><p class="small muted">{}</p>{}</div>', name,
              join(lines, '<br>'), table)
