"""A study of Doom, from recordings to its page: one run, whose keys depend on each other."""

import contextlib
import io
import json
import pathlib
import tempfile

from absl import flags
from absl.testing import parameterized

from alpt_jax import domains
from alpt_jax.domains.doom import score_floors
from alpt_jax.training import stopping, train
from experiments import collect, evaluate, reproduce
from experiments.configs import doom
from experiments.studies import floors, gather, report, results_file, run_files, runs


class StudyTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    cls.config = doom.get_config('tiny')
    cls.config.workdir, cls.config.data_dir = str(cls.root), str(cls.root / 'data')
    cls.config.compilation_cache_dir = ''
    cls.config.num_steps = cls.config.eval_every_steps = 2
    cls.config.model.action_order = 'sequential'
    for name in ('dt1', 'dt1_idm', 'oracle'):
      del cls.config.study.variants[name]
    cls.planned = reproduce.plan(cls.config)
    cls.own = runs.run_config(cls.config, cls.planned[0])
    with contextlib.redirect_stdout(io.StringIO()):
      collect.main(cls.config, runs.environments(cls.planned))
      floors.measure(cls.config, cls.planned)
    cls.code = train.train(cls.own, cls.own.workdir)
    pathlib.Path(cls.own.workdir, 'finished.json').write_text('{}')  # As experiments.train does.
    run_files.Writer(cls.config, None).done(cls.planned[0])
    cls.results = gather.gather(cls.config, cls.planned, [])

  def test_the_run_file_has_scores_and_labels_of_each_part(self):
    self.assertEqual(self.code, stopping.DONE)
    content = run_files.read(run_files.path_of(self.config, self.planned[0]))
    for name in ('labels/turn/r2', 'labels/turn/r2_floor', 'labels/r2', 'labels/attack/event_f1',
                 'labels/event_f1', 'label_accuracy', 'sampled/score', 'argmax/score'):
      self.assertLen(content['curves'][name], 2, name)
    self.assertIsNotNone(content['curves']['labels/turn/r2'][-1])
    self.assertLen(content['games']['sampled']['returns'], 2)

  def test_the_page_shows_parts_beside_floors(self):
    results_file.check(self.results)
    page = report.of(self.results).page()
    for text in ('turn: R²', 'attack: F1 of onsets and releases', 'recorded actions', 'random',
                 'script', 'sampled actions', 'arg max actions', 'None: every run is done'):
      self.assertIn(text, page)
    agents = self.results['scenarios']['deadly_corridor']['agents']
    self.assertLen(agents, score_floors.num_agents('deadly_corridor'))
    printed, = (line for line in report.summary_lines(self.results) if 'ALPT' in line)
    self.assertIn(f'(random {agents["random"]["score"]:.1f} / –)', printed)

  def test_the_agent_is_played_again(self):
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    with contextlib.redirect_stdout(io.StringIO()):
      evaluate.main(self.own)
    found = json.loads(pathlib.Path(self.own.workdir, 'eval', 'final.json').read_text())
    last = self.results['rows'][-1]
    for mode in ('sampled', 'argmax'):
      self.assertEqual(found[mode]['score'], last[f'{mode}/score'])
    self.assertEqual(found['labels/turn/r2'], last['labels/turn/r2'])

  def test_floors_of_the_target_are_known_to_its_domain(self):
    domain = domains.of(self.own)
    self.assertEqual(domain.score_floors('deadly_corridor')['protocol']['num_episodes'], 2)
    self.assertIn('not measured', domain.score_floors('my_way_home')['unknown'])


class PlanTest(parameterized.TestCase):

  def test_every_method_has_every_number_of_labels_and_the_oracle_one(self):
    planned = reproduce.plan(doom.get_config('study'))
    self.assertLen(planned, 5 * (3 * 3 + 1))
    self.assertLen({run.name for run in planned}, len(planned))
    config = doom.get_config('study,target=my_way_home')
    for run in reproduce.plan(config):
      own = runs.run_config(config, run)
      self.assertEqual((own.target, own.label_seed), ('my_way_home', own.seed))
      self.assertLen(own.sources, 5 if run.variant == 'alpt' else 0)

  @parameterized.parameters(
      (dict(score_games=1), 'score_games is 1; expected at least 2'),
      (dict(ceiling_steps=5), 'ceiling_steps is 5; expected 0'),
      (dict(of_runs=True), 'of_runs is True; expected False'))
  def test_refuses_floors_that_nothing_measures(self, changes, message):
    config = doom.get_config('tiny')
    config.study.floors.update(changes)
    with self.assertRaisesRegex(ValueError, f'study.floors.{message}'):
      reproduce.plan(config)

  def test_refuses_a_rule_that_there_is_not(self):
    config = doom.get_config('tiny')
    config.evaluation.rule = 'best'
    with self.assertRaisesRegex(ValueError, "evaluation.rule is 'best'; expected one of"):
      domains.specs(config)
