"""Registrations are completed with the settings of their runs, and hold studies to them."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from unittest import mock

from absl import flags
from absl.testing import absltest, flagsaver

from experiments import register, reproduce
from experiments.configs import atari, maze
from experiments.studies import registered_settings, registration, runs
from tests.experiments.studies import registration_test

METHODS, HYPOTHESIS = registration_test.METHODS, registration_test.HYPOTHESIS


def make_config():
  """The tiny mazes with five seeds."""
  config = maze.get_config('tiny')
  config.study.update(seeds=tuple(range(5)),
                      targets=tuple(f'maze-8-blocks:3-seed{seed}' for seed in range(5)))
  return config


def make_planned_content(**changes):
  """A registration of `make_config`'s IDMs, before it is completed."""
  where = {'part': 'labels', 'num_labels': 50}
  grid = registration_test.GRID | {
      'num_labels': [50], 'part': ['labels'], 'target': list(make_config().study.targets)}
  content = registration_test.make_content(
      grids=[grid], hypotheses=[HYPOTHESIS | {'where': where}]) | changes
  del content['run_settings']
  return content


class StartTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
    self.git('init', '--quiet')
    self.path = self.root / 'experiments' / 'registrations' / 'tiny.json'
    self.path.parent.mkdir(parents=True)
    (self.root / 'code.py').write_text('1')
    self.commit()
    self.config = make_config()
    self.config.workdir = str(self.root / 'work')
    self.config.study.update(registration=str(self.path), results_dir='results')
    self.content = register.complete(
        registration.Registration(self.path, '', make_planned_content()), self.config)
    self.write(self.content)

  def git(self, *args):
    subprocess.run(['git', '-c', 'user.name=n', '-c', 'user.email=e', *args], cwd=self.root,
                   check=True, capture_output=True,
                   env=os.environ | {'GIT_CONFIG_GLOBAL': '/dev/null'})

  def commit(self):
    self.git('add', '-A')
    self.git('commit', '--quiet', '-m', 'm')

  def write(self, content):
    self.path.write_text(json.dumps(content))

  def test_runs_that_could_not_start_are_refused_before_anything_is_written(self):
    registered = registration.Registration(self.path, '', make_planned_content())
    for changes, message in (
        ({'sampling.num_shards': 16, 'idm_batch_size': 64},
         'run labels-.* could not start: sampling.num_shards is 16; expected at most 10'),
        ({'idm_batch_size': 17}, 'could not start: idm_batch_size is 17; expected a multiple')):
      config = make_config()
      config.update_from_flattened_dict(changes)
      with self.assertRaisesRegex(ValueError, message):
        register.complete(registered, config)

  def start(self):
    return registration.start(self.config, reproduce.plan(self.config),
                              lambda run: runs.identity(self.config, run))

  def refused(self, message):
    with self.assertRaisesRegex(ValueError, message) as caught:
      self.start()
    self.assertLen(str(caught.exception).splitlines(), 1)

  def test_a_committed_registration_starts(self):
    self.commit()
    self.assertEqual(self.start().content, self.content)
    (self.root / 'code.py').write_text('2')
    self.commit()
    self.assertEqual(self.start().content, self.content)

  def test_a_study_without_registration_starts(self):
    self.config.study.registration = ''
    self.assertIsNone(self.start())

  def test_what_is_not_committed_is_refused(self):
    self.refused('tiny.json: is not committed. Commit it by itself before the first run')

  def test_a_change_is_refused_before_and_after_it_is_committed(self):
    self.commit()
    self.write(self.content | {'about': 'Something that fits the results.'})
    self.refused('tiny.json: has changed since it was committed')
    self.commit()
    self.refused('tiny.json: has changed in 1 commits since it was added')

  def test_a_registration_with_anything_else_is_refused(self):
    (self.root / 'code.py').write_text('2')
    self.commit()
    self.refused('was committed together with code.py; expected by itself')

  def test_a_registration_after_its_runs_is_refused(self):
    results = self.root / 'experiments' / 'results' / 'tiny' / 'runs' / 'a.json'
    results.parent.mkdir(parents=True)
    results.write_text('{}')
    self.git('add', str(results))
    self.git('commit', '--quiet', '-m', 'm')
    self.commit()
    self.refused('was committed after runs of the study, e.g. .*runs/a.json')

  def test_runs_where_the_config_puts_them_are_found(self):
    self.config.study.results_dir = str(self.root / 'elsewhere')
    earlier = self.root / 'elsewhere' / 'runs' / 'a.json'
    earlier.parent.mkdir(parents=True)
    earlier.write_text('{}')
    self.git('add', str(earlier))
    self.git('commit', '--quiet', '-m', 'm')
    self.commit()
    self.refused('was committed after runs of the study, e.g. elsewhere/runs/a.json')
    self.config.study.results_dir = str(self.root / 'else')
    self.start()

  def test_a_shallow_clone_does_not_say_when(self):
    self.commit()
    (self.root / 'code.py').write_text('2')
    self.commit()
    clone = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'clone')
    self.git('clone', '--quiet', '--depth=1', f'file://{self.root}', str(clone))
    self.config.study.registration = str(clone / self.path.relative_to(self.root))
    self.refused('clone: is a shallow clone, which does not say when .*tiny.json was committed')

  def test_a_run_that_was_begun_before_is_refused(self):
    self.commit()
    first = reproduce.plan(self.config)[0]
    sessions = self.root / 'work' / first.name / 'sessions.jsonl'
    sessions.parent.mkdir(parents=True)
    sessions.write_text(json.dumps({'time': time.time() + 60, 'step': 0, 'versions': {}}) + '\n')
    self.start()
    sessions.write_text(json.dumps({'time': time.time() - 1000, 'step': 0, 'versions': {}}) + '\n')
    self.refused(f'{first.name}: was begun before its registration was committed')

  def test_another_config_is_refused_by_its_settings(self):
    self.commit()
    self.config.num_steps = 7
    self.refused(r'the config is not the registered one \(num_steps: 6 -> 7\)')

  def test_settings_that_the_registration_does_not_list_are_pinned(self):
    self.commit()
    self.config.optimizer.idm_learning_rate = .5
    self.refused(r'tiny.json: labels-grid-50-alpt_blocked-seed0 has other settings than registered '
                 r'\(optimizer.idm_learning_rate: 0.002 -> 0.5\). Run it as registered')

  def test_a_variant_that_has_changed_is_named(self):
    self.commit()
    self.config.study.labels.variants.alpt_blocked.sources = ('maze-8-tunnel-seed100',)
    self.refused(r"labels-grid-50-alpt_blocked-seed0 has other settings than registered \(sources: "
                 r"\['maze-8-blocks:3-seed100'\] -> \['maze-8-tunnel-seed100'\]\)")

  def test_runs_outside_of_the_grids_may_have_any_settings(self):
    self.commit()
    self.config.study.variants.oracle.sources = ('maze-8-tunnel-seed100',)
    self.start()

  def test_a_run_in_the_grids_that_was_not_pinned_is_refused(self):
    del self.content['run_settings']['variants']['dt1_idm']['runs'][
        'labels-grid-50-dt1_idm-seed3']
    self.write(self.content)
    self.commit()
    self.refused('labels-grid-50-dt1_idm-seed3 is in grids, and run_settings has no such run')

  def test_other_recordings_are_refused(self):
    self.commit()
    self.config.collect.epsilon = .25
    self.refused(r'data is not recorded as registered \(collect.epsilon: 0.5 -> 0.25\)')

  def test_places_workers_and_devices_may_change(self):
    self.commit()
    self.config.data_dir, self.config.study.num_workers = 'elsewhere', 7
    self.config.sharding.microbatch, self.config.sharding.num_devices = 3, 2
    self.config.compilation_cache_dir = ''
    self.start()

  def test_a_new_key_at_its_default_changes_nothing(self):
    self.commit()
    with mock.patch.dict(runs.LATER_KEYS, dict.fromkeys(
        ('model.some_new_key', 'collect.some_new_key'), 7)):
      with self.config.unlocked():
        self.config.model.some_new_key = self.config.collect.some_new_key = 7
      self.start()
      self.config.model.some_new_key = 8
      self.refused(r'\(model.some_new_key: not there -> 8\)')
      self.config.collect.some_new_key = 8
      self.refused(r'\(collect.some_new_key: not there -> 8\)')

  def test_run_files_need_a_place(self):
    self.commit()
    self.config.study.results_dir = ''
    self.refused('study.results_dir is empty; a registered study needs it')

  def test_outside_of_git_there_is_no_registration(self):
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (directory / 'tiny.json').write_text(json.dumps(self.content))
    self.config.study.registration = str(directory / 'tiny.json')
    self.refused('is in no git repository')


class RegisterTest(absltest.TestCase):

  def complete(self, config=None, **changes):
    registered = registration.Registration(
        pathlib.Path('tiny.json'), '', make_planned_content(**changes))
    return register.complete(registered, config or make_config())

  def test_settings_of_all_registered_runs_are_entered_and_those_of_no_other(self):
    config, content = make_config(), self.complete()
    found = registered_settings.unpack(content['run_settings'])
    planned = {run.name: run for run in reproduce.plan(config)}
    self.assertCountEqual(found, [f'labels-grid-50-{method}-seed{seed}'
                                  for method in METHODS for seed in range(5)])
    for name, settings in found.items():
      self.assertEqual(settings, runs.settings(config, planned[name]))
    packed = content['run_settings']
    self.assertEqual(packed['common']['model.d_model'], 16)
    self.assertEqual(packed['collect']['collect.horizon'], 100)
    self.assertEqual(packed['variants']['dt1_idm']['common'],
                     {'method': 'dt1_idm', 'sources': []})
    self.assertEqual(packed['variants']['dt1_idm']['runs']['labels-grid-50-dt1_idm-seed3'],
                     {'seed': 3, 'label_seed': 3, 'target': 'maze-8-blocks:3-seed3'})

  def test_what_is_completed_can_be_loaded_and_completed_again(self):
    path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'tiny.json')
    path.write_text(register.as_text(self.complete()))
    self.assertLess(max(map(len, path.read_text().splitlines())), 110)
    registered = registration.load(path)
    self.assertEqual(register.complete(registered, make_config()), registered.content)
    config = make_config()
    config.optimizer.weight_decay = .5
    again = register.complete(registered, config)
    self.assertEqual(again['run_settings']['common']['optimizer.weight_decay'], .5)

  def test_pretrainings_are_entered_with_what_starts_from_them(self):
    config = atari.get_config('tiny')
    config.study.seeds = tuple(range(5))
    content = self.complete(
        config, experiment='atari', settings={'window': 5}, tuning={},
        hypotheses=[HYPOTHESIS | {'method': 'idm_four', 'baseline': 'idm_target'}],
        grids=[{'method': ['idm_four', 'idm_target'], 'phase': ['finetune'], 'part': ['labels'],
                'target': ['Breakout'], 'seed': [0, 1, 2, 3, 4], 'num_labels': [50]}])
    found = registered_settings.unpack(content['run_settings'])
    self.assertLen(found, 15)
    self.assertEqual(content['run_settings']['collect']['collect.origin'], 'play')
    self.assertNotIn('collect.from_dir', content['run_settings']['collect'])  # A place.
    self.assertEqual(found['labels-Breakout-50-idm_four-seed2']['init_from'],
                     runs.digest(found['labels-pretrain-Breakout-50-idm_four-seed2']))

  def test_a_config_that_lacks_a_run_of_a_hypothesis_is_refused(self):
    config = make_config()
    del config.study.labels.variants.dt1_idm
    with self.assertRaisesRegex(
        ValueError, r"^tiny.json: hypotheses\[0\].baseline is 'dt1_idm': the config has 0 runs of "
                    ".*'dt1_idm'} with target maze-8-blocks:3-seed0 and seed 0; expected one"):
      self.complete(config)

  def test_two_runs_a_seed_are_refused(self):
    grid = make_planned_content()['grids'][0]
    del grid['part']  # Agents have IDMs, too.
    with self.assertRaisesRegex(ValueError, r'^tiny.json: hypotheses\[0\].method is .*: the config '
                                            'has 2 runs of '):
      self.complete(grids=[grid], hypotheses=[HYPOTHESIS])

  def test_another_config_is_refused(self):
    with self.assertRaisesRegex(ValueError, r'^tiny.json: settings: the config is not the '
                                            r'registered one \(window: 3 -> 5\)'):
      self.complete(settings={'window': 3})

  def test_a_fault_is_named_by_its_file_and_field(self):
    path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'tiny.json')
    flags.FLAGS.mark_as_parsed()

    def refused(message):
      with flagsaver.flagsaver(registration=str(path)), self.assertRaisesRegex(
          ValueError, f'^{path}: {message}') as caught:
        register.main(make_config())
      self.assertNotIn('study.registration', str(caught.exception))

    refused('no such file; expected a registration')
    content = make_planned_content()
    del content['hypotheses']
    path.write_text(json.dumps(content))
    refused('hypotheses is missing; expected a list')
    path.write_text('[]')
    refused(r'the content is \[\]; expected an object')
    path.write_text(json.dumps(make_planned_content(experiment='atari', tuning={})))
    refused("experiment is 'atari', the config’s 'maze'")

  def test_the_command_writes_the_file(self):
    path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'tiny.json')
    path.write_text(json.dumps(make_planned_content()))
    study = make_config().study
    command = [sys.executable, '-m', 'experiments.register',
               '--config=experiments/configs/maze.py:tiny', f'--registration={path}',
               f'--config.study.seeds={study.seeds}', f'--config.study.targets={study.targets}']
    done = subprocess.run(command, cwd=runs.ROOT, capture_output=True, text=True, check=True)
    self.assertEqual(registration.load(path).content, self.complete())
    self.assertIn('completed with the settings of 10 runs. Commit it by itself', done.stdout)


if __name__ == '__main__':
  absltest.main()
