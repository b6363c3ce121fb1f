"""Audits of real runs on simulated cameras, whose ceiling is known."""

import dataclasses
import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest

from alpt_jax import domains
from alpt_jax.labelling import audit_compare, audit_run, paired_runs, run_floors, trained_idm
from alpt_jax.training import train
from experiments.configs import camera
from tests.labelling.saying import Said, saying

ROOT = pathlib.Path(__file__).resolve().parents[2]


def config(workdir, **changes):
  found = camera.get_config('tiny')
  found.collect.num_episodes, found.train_dt, found.workdir = 30, False, str(workdir)
  found.update(changes)
  return found


def read_off(trained):
  """An IDM that says the truth, with certainty."""
  def make_predict_fn(spec, stride):
    del stride

    def predict_fn(episodes, numbers):
      for number in numbers:
        actions, is_known = episodes.actions_of(number)
        said = np.zeros((len(actions), spec.actions.num), np.float32)
        for p, (part, segment) in enumerate(zip(spec.actions.parts, spec.actions.segments,
                                                strict=True)):
          rows = np.flatnonzero(is_known[:, p])
          said[rows, segment.start + part.classes(actions[rows, p])] = 1
        yield Said(number, said)

    return predict_fn

  return saying(trained, make_predict_fn)


def by_name(environment):
  return {part['name']: part for part in environment['parts']}


class AuditPartsTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.config = config(cls.root / 'run')
    assert train.train(cls.config, cls.config.workdir) == 0
    cls.trained = trained_idm.restore(cls.config.workdir)

  def test_the_program_says_a_line_for_each_part_with_floor_and_ceiling(self):
    done = subprocess.run(
        [sys.executable, '-m', 'experiments.audit', f'--run={self.config.workdir}',
         '--num_episodes=8'], cwd=ROOT, capture_output=True, text=True, check=False)
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    lines = done.stdout.splitlines()
    found = json.loads((self.root / 'run' / 'audit' / 'audit.json').read_text())
    page = html.unescape((self.root / 'run' / 'audit' / 'audit.html').read_text())
    environment, = found['environments']
    self.assertEqual([part['name'] for part in environment['parts']], ['turn', 'light', 'jump'])
    self.assertEqual((environment['kind'], environment['num_episodes'], found['format']),
                     ('held out', 8, 4))
    for line, part in zip(lines, environment['parts'], strict=False):
      self.assertRegex(line, rf'^{part["name"]} of camera-seed0: (R²|F1 of events) -?[\d.]+ \[.*\] '
                             r'in 320 transitions of 8 held-out episodes; best floor .*persistence '
                             r'.*, ceiling 0\.\d\d \[.*\]\.$')
      self.assertIn(line, page)
      main = part['main']
      self.assertGreater(main['values']['ceiling']['value'], main['values']['idm']['value'])
      self.assertLess(main['margins']['ceiling']['value'], 0)
      self.assertGreater(main['values']['ceiling']['value'], main['values']['linear']['value'])
      self.assertEqual(part['num_labels'], 50)
    self.assertIn('All keys of camera-seed0 right: ', lines[3])
    self.assertIn('By the rules of D2E, camera-seed0: the IDM keys ', lines[4])

  def test_labels_that_are_the_truth_are_at_their_best(self):
    found = audit_run.audit_run(read_off(self.trained), num_episodes=6, progress=False)
    turn, light, jump = found['environments'][0]['parts']
    for part in (light, jump):
      self.assertEqual(part['figures']['event_f1_0']['value'], 1)
      self.assertEqual(part['average_precision']['idm']['value'], 1)
      self.assertGreater(part['main']['margins']['ceiling']['value'], 0)
    self.assertEqual(turn['figures']['within']['value'], 1)
    self.assertGreater(turn['figures']['r2']['value'], .95)
    self.assertEqual(turn['lag']['best'], 0)

  def test_what_an_environment_lacks_is_not_judged(self):
    names = ('tripod-seed0', 'tripod-seed5', 'camera-seed0')
    found = audit_run.audit_run(self.trained, environments=names, num_episodes=3, progress=False)
    self.assertEqual([(e['name'], e['kind'], [part['name'] for part in e['parts']])
                      for e in found['environments']], [
        ('tripod-seed0', 'trained on', ['turn', 'light']),
        ('tripod-seed5', 'never seen', ['turn', 'light']),
        ('camera-seed0', 'held out', ['turn', 'light', 'jump'])])
    for part in found['environments'][1]['parts']:
      self.assertEqual(part['references']['linear'],
                       'training had no labels of it that a floor could be fitted to')
      self.assertIn('ceiling', part['main']['values'])

  def test_an_idm_that_sees_the_past_only_is_a_floor(self):
    past = config(self.root / 'causal', method='dt1_idm', sources=())
    past.model.idm_is_causal = True
    train.train(past, past.workdir)
    found = audit_run.audit_run(self.trained, num_episodes=4, causal=past.workdir, progress=False)
    alone = audit_run.audit_run(trained_idm.restore(past.workdir), num_episodes=4, progress=False)
    for name, part in by_name(found['environments'][0]).items():
      self.assertNotIn('past', part['references'])
      self.assertEqual(part['compared']['figures']['past'],
                       by_name(alone['environments'][0])[name]['compared']['figures']['idm'])

  def test_a_ceiling_that_nobody_knows_is_said(self):
    with mock.patch.object(domains.named('camera'), 'part_ceiling',
                           domains.base.Domain.part_ceiling):
      found = audit_run.audit_run(self.trained, num_episodes=3, progress=False)
    self.assertRegex(found['headlines'][0], 'persistence .*, ceiling unknown.$')
    why = 'nothing says what the observations of camera-seed0 tell of its actions at most'
    self.assertEqual({part['references']['ceiling'] for part in found['environments'][0]['parts']},
                     {why})

  def test_mistakes_are_one_line(self):
    for settings, message in (
        (dict(environments=['tv']), "environments: environment is 'tv'; expected camera or tripod"),
        (dict(stride=6), 'stride is 6; expected 1 to 5'),
        (dict(causal=self.config.workdir), 'idm_is_causal is False; expected True')):
      with self.assertRaisesRegex(ValueError, re.escape(message)) as caught:
        audit_run.audit_run(self.trained, progress=False, **settings)
      self.assertNotIn('\n', str(caught.exception))
    with self.assertRaisesRegex(ValueError, 'whose floors and ceiling experiments.audit measures'):
      run_floors.measure(self.config.workdir)
    member = paired_runs.Member(self.trained, [self.config], {})
    with self.assertRaisesRegex(ValueError, 'run: actions have several parts; expected runs with '):
      audit_compare.check([paired_runs.Pair(member, member)], environments=(), num_episodes=3,
                          stride=1, smallest_effect=.03)

  def test_data_of_another_run_is_refused(self):
    other = dataclasses.replace(self.trained, digests={'camera-seed0': 'another'})
    with self.assertRaisesRegex(ValueError, 'other data than .* was trained on'):
      audit_run.audit_run(other, progress=False)


if __name__ == '__main__':
  absltest.main()
