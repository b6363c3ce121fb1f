"""A domain of one's own: a folder and a config, written elsewhere, and all programs run on it."""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from absl import flags
from absl.testing import absltest, parameterized

from alpt_jax import configs, domains
from alpt_jax.data import rlds
from alpt_jax.files import atomic_files
from alpt_jax.training import stopping, train
from experiments import collect, evaluate, reproduce
from experiments.studies import gather, runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOMAIN = '''
"""A corridor: the agent goes right until its end."""

import dataclasses
import os
import pathlib

import numpy as np

from alpt_jax import action_space, schema
from alpt_jax.data import recorder
from alpt_jax.domains import base, metric, play
from tests.data import corridor


class Emulator:
  """A corridor whose episodes start where their seed says."""

  def __init__(self, length):
    self._length = length

  def reset(self, seed):
    self._cell = int(seed) % (self._length - 1)
    return np.array([0, self._cell], np.int32)

  def send(self, action):
    self._cell += int(action)

  def receive(self):
    is_over = self._cell == self._length - 1
    return np.array([0, self._cell], np.int32), float(is_over), is_over


class Domain(base.Domain):
  """Corridors, named after their length."""
  metrics = {'score': metric.Metric('goals', 'share of episodes', kind=schema.SHARE)}
  modules = ('study',)
  config_file = str(pathlib.Path(__file__).with_name('config.py'))

  def spec(self, name):
    return dataclasses.replace(
        corridor.spec(), name=name, actions=action_space.Discrete(('STAY', 'RIGHT')))

  def collect(self, names):
    for name in names:
      directory, = self.directories(name)
      if not os.path.isdir(directory):
        rng = np.random.default_rng(len(name) + _length(name))
        recorder.record_episodes(
            corridor.Corridor(_length(name)), lambda timestep: int(rng.random() < .6), 30,
            directory, name=name, metadata={})

  def make_evaluation(self, learner):
    legal = self.spec(self.config.target).actions.mask
    agent = play.Evaluator(
        learner.player(legal, rule='paper'), lambda: Emulator(_length(self.config.target)),
        num_episodes=7, max_steps=20, is_chance=True)

    def evaluate(params, is_last, video_path='', short_path=''):
      return {'argmax': agent.run(params, acting_mode='argmax', seed=self.config.seed)[0]}

    return evaluate


def _length(name):
  return int(name.rpartition('-')[2])
'''

STUDY = '''
"""Plans a run of every variant and seed."""

from alpt_jax.domains import study as studies

ENVIRONMENTS = 'corridors'
RESULTS = {'corridors': dict}
IDENTITY = {}
SEEDS_HAVE_TARGETS = False
SHOWN_OF = ('method', 'target')
FLOOR_OF = ()


def plan(config):
  return [studies.Run(f'{name}-seed{seed}', name, dict(
      method=variant.method, target=config.target, sources=variant.sources, seed=seed))
          for name, variant in config.study.variants.items() for seed in config.study.seeds]


def describe(config, planned):
  return {'methods': studies.describe(config.study.variants),
          'corridors': {name: {} for name in (config.target, *config.sources)}}


def identity(run, own):
  return {'run': run.name, 'method': run.variant, 'target': own.target, 'seed': own.seed,
          'sources': list(own.sources)}


def scores(own, evaluation):
  return {'argmax/score': evaluation.get('argmax', {}).get('score')}


def title(own, label):
  return label


def shown(run, evaluations):
  return {}
'''

CONFIG = '''
"""ALPT in a corridor."""

from experiments.configs import base


def get_config(argument=''):
  """Returns the config."""
  config = base.get_config('my_corridor.domain', argument)
  config.workdir, config.data_dir = ROOT + '/runs', ROOT + '/data'
  config.compilation_cache_dir = ''
  config.target, config.sources = 'corridor-8', ('corridor-6',)
  config.num_labels = 20
  config.model.update(num_layers=1, num_heads=2, d_model=16, patch_size=0, vector_bins=8,
                      idm_tokenizer='patch', dt_tokenizer='patch', idm_places=False)
  config.reward_weight, config.return_weight = 0., 1.
  config.optimizer.update(idm_learning_rate=.02, dt_learning_rate=.02, warmup_steps=5)
  config.batch_size = config.idm_batch_size = 12
  config.num_steps, config.eval_every_steps = 120, 60
  config.checkpoint_every_steps = 60
  config.num_label_windows = 0
  config.sampling.update(num_shards=2, pool_size=64)
  config.sharding.num_devices = 1
  config.study = base.study(
      variants=dict(alpt=dict(label='ALPT', method='alpt', sources=config.sources)), seeds=(3,),
      rates=dict(source='a guess', start=20., evaluation=1.,
                 joint=dict(both=.07, idm=.04, dt=.03)))
  return config
'''


class ToyDomainTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    folder = cls.root / 'my_corridor'
    folder.mkdir()
    for name, text in (('__init__', ''), ('domain', DOMAIN), ('study', STUDY),
                       ('config', CONFIG.replace('ROOT', repr(str(cls.root))))):
      (folder / f'{name}.py').write_text(text)
    sys.path.insert(0, str(cls.root))
    cls.addClassCleanup(sys.path.remove, str(cls.root))
    cls.config = configs.load(f'{folder}/config.py:tiny')
    collect.main(cls.config)
    cls.planned = reproduce.plan(cls.config)
    cls.own = runs.run_config(cls.config, cls.planned[0])
    cls.code = train.train(cls.own, cls.own.workdir)

  def run_program(self, name, *arguments):
    """Runs a program of experiments/ as a user does; returns what it prints."""
    result = subprocess.run(
        [sys.executable, '-m', f'experiments.{name}', *arguments], cwd=ROOT, text=True,
        capture_output=True, check=False, env=os.environ | {'PYTHONPATH': str(self.root)})
    self.assertEqual(result.returncode, 0, result.stderr)
    return result.stdout

  def test_data_of_all_environments_is_collected(self):
    self.assertEqual(domains.of(self.config).environments(), ['corridor-6', 'corridor-8'])
    for name in ('corridor-6', 'corridor-8'):
      self.assertEqual(rlds.read_card(self.root / 'data' / name)['num_episodes'], 30)

  def test_trains_and_scores_an_agent(self):
    self.assertEqual(self.code, stopping.DONE)
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    with contextlib.redirect_stdout(io.StringIO()):
      evaluate.main(self.own)
    found = json.loads(pathlib.Path(self.own.workdir, 'eval', 'final.json').read_text())
    self.assertEqual(found['argmax']['num_episodes'], 7)
    self.assertBetween(found['argmax']['score'], 0., 1.)
    # Of single windows, at their ends, too. The most frequent action is right in 0.6.
    self.assertGreater(found['label_accuracy']['120'], .7)

  def test_its_idm_is_audited(self):
    self.run_program('audit', f'--run={self.own.workdir}')
    found = json.loads(pathlib.Path(self.own.workdir, 'audit', 'audit.json').read_text())
    case, = found['environments']
    self.assertEqual(case['name'], 'corridor-8')
    self.assertIn(case['baselines']['majority'], ('STAY', 'RIGHT'))
    self.assertGreater(case['accuracy']['value'], .8)  # RIGHT alone is right in 0.6.

  def test_its_idm_labels_data(self):
    output = self.root / 'labelled'
    printed = self.run_program(
        'label', f'--run={self.own.workdir}', f'--output={output}', '--known=run')
    self.assertIn('30 episodes; 20 true actions', printed)
    self.assertEqual(rlds.read_card(output)['num_labelled'], rlds.read_card(output)[
        'num_transitions'])

  def test_results_get_the_report_of_all_domains(self):
    results = gather.gather(self.config, self.planned, [])
    atomic_files.write_json(self.root / 'results.json', results)
    printed = self.run_program('report', f'--results={self.root}/results.json')
    self.assertIn('my_corridor.domain, preset tiny: 1 of 1 runs done.', printed)
    last, = (row for row in results['rows'] if row['step'] == 120)
    self.assertIn(f'corridor-8: goals / labels right: ALPT {last["argmax/score"]:.3f} / '
                  f'{last["label_accuracy"]:.3f}', printed)
    page = (self.root / 'report.html').read_text()
    for text in ('Scores', 'In the end', 'What the IDM mixes up', 'What was run', 'RIGHT',
                 'arg max actions', 'corridor-8: goals', 'corridor-8: labels right',
                 'None: every run is done'):
      self.assertIn(text, page)

  def test_a_study_starts_its_runs_from_the_config_of_the_domain(self):
    path = runs.command(self.config, self.planned[0])[2]
    self.assertEqual(path, f'--config={self.root}/my_corridor/config.py:tiny')


class NamesTest(parameterized.TestCase):

  @parameterized.parameters(
      ('mazes', "experiment is 'mazes', which cannot be imported .No module named 'mazes'.; "
                "expected one of .'atari', 'camera', 'doom', 'maze', 'own'., or the name of an "
                'importable module'),
      ('', "experiment is ''; expected one of"), ('.maze', "experiment is '.maze'; expected"),
      (3, 'experiment is 3; expected one of'),
      ('json', "experiment is 'json'; expected one of"))
  def test_what_is_no_domain_is_refused_in_one_line(self, experiment, message):
    with self.assertRaisesRegex(ValueError, f'^{message}[^\n]*$'):
      domains.named(experiment)


if __name__ == '__main__':
  absltest.main()
