"""Labels of real runs between floors and ceiling."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest

from alpt_jax import domains, schema
from alpt_jax.data import labels, records, rlds
from alpt_jax.domains.atari import action_sets, evaluate, recording_ceiling
from alpt_jax.domains.maze import anchors, env
from alpt_jax.labelling import (
    blindness,
    dt_labels,
    run_floors,
    run_labels,
    trained_idm,
    voted_labels,
)
from alpt_jax.learners import acting, alpt
from alpt_jax.reports import floors_schema
from alpt_jax.training import train
from experiments import collect
from tests import atari_runs, maze_data

ROOT = pathlib.Path(__file__).resolve().parents[2]


class MazeFloorsTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    cls.config = maze_data.config(cls.root / 'run')
    train.train(cls.config, cls.config.workdir)
    causal = maze_data.config(cls.root / 'causal', method='dt1_idm', sources=(), train_dt=False)
    causal.model.idm_is_causal = True
    train.train(causal, causal.workdir)
    cls.truth = domains.of(cls.config).read(cls.config.target)

  def test_table_is_that_of_the_labels_and_judged_on_hidden_actions(self):
    found = run_floors.measure(self.root / 'run', causal=self.root / 'causal')['labels']
    path = run_labels.files(self.root / 'run')[-1]
    episode, timestep, said, true = run_labels.hidden_labels(path, self.truth)
    self.assertAlmostEqual(found['accuracy']['value'], np.mean(said == true))
    self.assertEqual(found['accuracy']['value'],
                     run_labels.score_labels([path], self.truth)[found['step']])
    # Read off the planes of the agent, independently of keys.
    choice = labels.read_choice(self.root / 'run' / 'labels.json')
    step = self.truth.first_step[episode] + timestep
    agent = np.argwhere(self.truth.observations[..., 2])[:, 1:]
    moves = agent[1:] - agent[:-1]
    known = np.concatenate([self.truth.first_step[e] + s + np.arange(choice.window)
                            for e, s in choice.windows])
    frequent = np.bincount(self.truth.actions[known]).argmax()
    table = {}
    for i in known:
      table.setdefault(tuple(moves[i]), []).append(self.truth.actions[i])
    table = {move: np.bincount(actions).argmax() for move, actions in table.items()}
    right = [table.get(tuple(moves[i]), frequent) == self.truth.actions[i] for i in step]
    self.assertAlmostEqual(found['floors']['table']['value'], np.mean(right))
    self.assertAlmostEqual(found['floors']['majority']['value'], np.mean(true == frequent))
    self.assertEqual((found['floors']['linear'], found['floors']['num_labels']), (None, 50))
    self.assertEqual(found['floors']['best'], 'table')
    margin = found['floors']['margin']
    self.assertAlmostEqual(margin['value'], np.mean(said == true) - np.mean(right))
    self.assertEqual(margin['num_transitions'], found['accuracy']['num_transitions'])

  def test_voted_labels_are_those_of_every_window_and_of_hidden_actions(self):
    trained = trained_idm.restore(self.root / 'run')
    episode, timestep, said, true = voted_labels.label(trained, self.truth, num_transitions=60)
    choice = labels.read_choice(self.root / 'run' / 'labels.json')
    known = {(e, s + t) for e, s in choice.windows.tolist() for t in range(choice.window)}
    numbers = np.unique(episode)
    self.assertEqual(set(zip(episode.tolist(), timestep.tolist(), strict=True)), {
        (e, t) for e in numbers for t in range(self.truth.num_transitions[e])} - known)
    lengths = self.truth.num_transitions[numbers]
    self.assertGreaterEqual(lengths.sum(), 60)  # And no whole episode more than needed.
    self.assertLess(lengths.sum() - lengths.min(), 60 + lengths.max())
    # One window after the other, without the machinery of votes.
    window, legal = trained.config.window, alpt.legal_actions([trained.spec])
    for number in numbers[:2]:
      length, sums = self.truth.num_transitions[number], 0
      sums = np.zeros((length, trained.spec.num_actions))
      for start in range(length - window + 1):
        cut = self.truth.cut(np.array([number]), np.array([start]), window)
        sums[start:start + window] += np.asarray(alpt.probabilities(
            trained.idm, trained.params, cut.observations, legal))[0]
      rows = episode == number
      np.testing.assert_array_equal(said[rows], sums.argmax(axis=1)[timestep[rows]])
      np.testing.assert_array_equal(true[rows], self.truth.actions_of(number)[0][timestep[rows]])
    found = run_floors.measure(self.root / 'run', voted_transitions=60)
    self.assertAlmostEqual(found['labels']['voted']['accuracy']['value'], np.mean(said == true))
    self.assertEqual(found['labels']['voted']['floors']['majority']['num_transitions'], len(said))
    self.assertIn(f'  all windows voting: {np.mean(said == true):.3f} ',
                  '\n'.join(run_floors.sentences(found)))

  def test_agent_without_an_idm_labels_what_an_idm_is_judged_on(self):
    run = self.root / 'dt1'
    config = maze_data.config(run, method='dt1', sources=())
    train.train(config, config.workdir)
    found = run_floors.measure(run, labeller_transitions=60)
    of_idm = voted_labels.label(trained_idm.restore(self.root / 'run'), self.truth,
                                num_transitions=60)
    episode, timestep, said, true = dt_labels.label(
        blindness.restore(run), self.truth, run, num_transitions=60)
    for ours, theirs in zip((episode, timestep, true), (*of_idm[:2], of_idm[3]), strict=True):
      np.testing.assert_array_equal(ours, theirs)
    about = found['as_labeller']
    self.assertAlmostEqual(about['accuracy']['value'], np.mean(said == true))
    self.assertEqual((about['accuracy']['num_transitions'], about['step']), (len(said), 6))
    self.assertEqual(about['floors'] | {'margin': None}, run_floors.measure(
        self.root / 'run', voted_transitions=60)['labels']['voted']['floors'] | {'margin': None})
    self.assertAlmostEqual(about['floors']['margin']['value'],
                           np.mean(said == true) - about['floors']['table']['value'])
    self.assertEqual(about['most_frequent']['share'], np.bincount(said).max() / len(said))
    self.assertIn(f'As a labeller of hidden transitions the agent is right in '
                  f'{np.mean(said == true):.3f} ', '\n'.join(run_floors.sentences(found)))
    schema.check({'as_labeller': about}, floors_schema.OF_RUN, 'it')
    with self.assertRaisesRegex(ValueError, 'it.as_labeller.accuracy is missing'):
      del about['accuracy']
      schema.check({'as_labeller': about}, floors_schema.OF_RUN, 'it')

  def test_agents_with_an_idm_or_all_actions_are_no_labellers(self):
    self.assertIsNone(run_floors.measure(self.root / 'run', labeller_transitions=9)['as_labeller'])
    run = self.root / 'oracle'
    config = maze_data.config(run, method='oracle', sources=())
    train.train(config, config.workdir)
    self.assertIsNone(run_floors.measure(run, labeller_transitions=9)['as_labeller'])

  def test_causal_accuracy_is_that_of_the_causal_run(self):
    found = run_floors.measure(self.root / 'run', causal=self.root / 'causal')
    path = run_labels.files(self.root / 'causal')[-1]
    expected, = run_labels.score_labels([path], self.truth).values()
    self.assertAlmostEqual(found['labels']['causal']['value'], expected)

  def test_random_draws_are_those_of_the_recording(self):
    found = run_floors.measure(self.root / 'run')['labels']['random_draws']
    directory, = domains.of(self.config).directories(self.config.target)
    path = run_labels.files(self.root / 'run')[-1]
    episode, timestep, said, true = run_labels.hidden_labels(path, self.truth)
    marks = np.concatenate([[*marks, False] for marks in records.random_draws(directory)])
    is_random = marks[self.truth.first_step[episode] + timestep].astype(bool)
    self.assertBetween(is_random.mean(), .3, .7)  # Mazes are recorded with an epsilon of 0.5.
    self.assertAlmostEqual(found['value'], np.mean((said == true)[is_random]))
    self.assertEqual(found['num_transitions'], is_random.sum())

  def test_unmarked_data_has_unknown_random_draws(self):
    with mock.patch.object(run_floors, '_random_draws', return_value=None):
      found = run_floors.measure(self.root / 'run')['labels']['random_draws']
    self.assertIn('action_is_random', found['unknown'])

  def test_what_is_unknown_is_said_to_be(self):
    found = run_floors.measure(self.root / 'run')['labels']
    self.assertIn('--causal', found['causal']['unknown'])
    directory, = domains.of(self.config).directories(self.config.target)
    card = rlds.read_card(directory) | {'metadata': {}}
    with mock.patch.object(rlds, 'read_card', return_value=card):
      found = run_floors.measure(self.root / 'run')['labels']
    self.assertIn('by which policy it was recorded', found['ceiling']['unknown'])
    self.assertIn('unknown', found['above_floor'])

  def test_ceiling_of_a_maze_is_of_its_recording(self):
    found = run_floors.measure(self.root / 'run')['labels']
    top, num = found['ceiling'], int(self.truth.num_transitions.sum())
    exact = anchors.idm_ceilings(env.layout_of(self.config.target), self.config.collect.epsilon,
                                 self.config.collect.horizon)['bayes']
    for name in ('expected', 'realised'):
      self.assertEqual((top[name]['num_transitions'], top[name]['num_episodes']),
                       (num, self.truth.num_episodes))
      self.assertAlmostEqual(top[name]['value'], exact, delta=.05)  # Of 40 episodes.
      self.assertGreater(top[name]['value'], found['floors']['table']['value'])
    highest = max(found['floors'][name]['value'] for name in ('majority', 'table'))
    best = max(top[name]['value'] for name in top)
    self.assertAlmostEqual(found['above_floor'],
                           (found['accuracy']['value'] - highest) / (best - highest))

  def test_nothing_else_is_computed_of_constant_labels(self):
    run = self._copy()
    path = run_labels.files(run)[-1]
    fields = dict(np.load(path))
    np.savez(path, **fields | {'actions': np.full_like(fields['actions'], 2)})
    found = run_floors.measure(run)
    self.assertEqual({key: x for key, x in found['labels'].items() if key != 'step'}, {
        'most_frequent': {'action': 'UP', 'share': 1.}, 'is_constant': True})
    self.assertStartsWith(run_floors.sentences(found)[0], 'Labels are constant: UP in 1.000')

  def test_refuses_a_run_that_is_not_causal_or_has_other_labels(self):
    with self.assertRaisesRegex(ValueError, 'idm_is_causal is False; expected True'):
      run_floors.measure(self.root / 'run', causal=self.root / 'run')
    other = maze_data.config(self._copy('causal'))
    choice = labels.read_choice(os.path.join(other.workdir, 'labels.json'))
    labels.write_choice(os.path.join(other.workdir, 'labels.json'),
                        choice._replace(windows=choice.windows[:-1], budget=choice.budget - 5))
    with self.assertRaisesRegex(ValueError, 'has other labels than'):
      run_floors.measure(self.root / 'run', causal=other.workdir)

  def test_another_recording_must_be_another(self):
    with self.assertRaisesRegex(ValueError, 'that the run was trained on; expected another'):
      run_floors.measure(self.root / 'run', held_out_dir=self.config.data_dir)

  def test_agent_is_measured_on_another_recording(self):
    other = maze_data.config(self.root / 'run')
    other.data_dir = self.enterContext(tempfile.TemporaryDirectory())
    other.collect.update(seed=1, epsilon=1., num_episodes=20)  # Some walks are long.
    collect.main(other)
    found = run_floors.measure(self.root / 'run', held_out_dir=other.data_dir)['agent']
    self.assertIs(found['is_held_out'], True)
    self.assertGreater(found['num_windows'], 0)
    self.assertAlmostEqual(found['rise']['value'], found['exchanged_loss'] - found['loss'])
    self.assertEqual(found['by_score'], {
        'unknown': 'agents of its domain do not play with exchanged images'})
    self.assertIs(found['is_blind'], found['by_loss'] or None)  # One criterion does not clear it.

  def test_no_episode_is_held_out_of_an_oracle(self):
    trained = mock.Mock()
    trained.config = maze_data.config(self.root / 'run', method='oracle')
    numbers, is_held_out = blindness.held_out(trained, self.truth, self.root / 'run')
    self.assertEqual((len(numbers), is_held_out), (self.truth.num_episodes, False))

  def test_program_writes_the_file(self):
    run = self._copy()
    result = subprocess.run(
        [sys.executable, '-m', 'experiments.floors', f'--run={run}'], cwd=ROOT,
        capture_output=True, text=True, check=False)
    self.assertEqual(result.returncode, 0, msg=result.stderr)
    found = json.loads((pathlib.Path(run) / 'floors.json').read_text())
    self.assertEqual(result.stdout.splitlines()[:-1], run_floors.sentences(found))
    # Episodes of so small a maze are too short to exchange images within them.
    self.assertIn('20 steps apart', found['agent']['unknown'])

  def _copy(self, name='run'):
    directory = self.enterContext(tempfile.TemporaryDirectory())
    shutil.copytree(self.root / name, os.path.join(directory, 'copy'))
    return os.path.join(directory, 'copy')


class AtariFloorsTest(absltest.TestCase):

  def test_linear_map_and_ceiling(self):
    run = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'run'
    config = atari_runs.config(run, 'tiny,setting=disjoint,method=dt1_idm', sources=())
    data = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'data'
    shutil.copytree(config.data_dir, data)
    config.data_dir, config.train_dt = str(data), False
    train.train(config, config.workdir)
    found = run_floors.measure(run)
    self.assertIsNone(found['agent'])
    if found['labels']['is_constant']:  # What a few updates may end in.
      path = run_labels.files(run)[-1]
      fields = dict(np.load(path))
      fields['actions'][::2] = 0
      fields['actions'][1::2] = 3
      np.savez(path, **fields)
      found = run_floors.measure(run)
    self.assertIn('experiments.ceiling', found['labels']['ceiling']['unknown'])
    self.assertIsNone(found['labels']['floors']['table'])
    self.assertBetween(found['labels']['floors']['linear']['value'], 0., 1.)
    directory, = domains.of(config).directories(config.target)
    episodes = domains.of(config).read(config.target)
    recording_ceiling.measure(directory, episodes, num_steps=20)
    found = run_floors.measure(run)['labels']
    self.assertEqual(found['ceiling']['expected']['num_transitions'], 20)
    floor = max(found['floors'][key]['value'] for key in ('majority', 'linear'))
    top = max(found['ceiling'][key]['value'] for key in ('expected', 'realised'))
    if top > floor:
      self.assertAlmostEqual(found['above_floor'],
                             (found['accuracy']['value'] - floor) / (top - floor))


class AtariAgentTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.run_dir = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory())) / 'run'
    cls.config = atari_runs.config(
        cls.run_dir, 'tiny,setting=disjoint,method=oracle', sources=(), num_steps=2)
    cls.config.evaluation.update(num_episodes=6, max_steps=80)
    train.train(cls.config, cls.config.workdir)
    cls.own = json.loads((cls.run_dir / 'eval' / 'step_0000002.json').read_text())['sampled']

  def measure(self, games, exchanged=None):
    """The entry `agent`, and the delays it was played with; `exchanged` replaces what it scores."""
    delays, run = [], evaluate.AtariEvaluator.run

    def play(agent, *args, delay=0, **options):
      delays.append(delay)
      result, episodes = run(agent, *args, delay=delay, **options)
      if delay and exchanged is not None:
        result['scores'] = [exchanged] * len(result['scores'])
      return result, episodes

    with mock.patch.object(evaluate.AtariEvaluator, 'run', play):
      return run_floors.measure(self.run_dir, games=games)['agent'], delays

  def test_games_with_exchanged_images_are_compared_with_those_of_the_evaluation(self):
    agent, delays = self.measure(6)
    found = agent['by_score']
    self.assertEqual(delays, [41])
    self.assertEqual((found['delay'], found['num_games']), (41, 6))
    self.assertAlmostEqual(found['score'], self.own['score'])
    self.assertBetween(self.own['score'], found['low'], found['high'])
    legal = action_sets.spec('Breakout').actions.mask
    again = evaluate.AtariEvaluator(
        acting.Player(blindness.restore(self.run_dir).dt, legal, 'paper'), 'Breakout',
        num_episodes=6, max_steps=80)
    late, _ = again.run(blindness.restore(self.run_dir).params, seed=self.config.seed, delay=41)
    self.assertAlmostEqual(found['exchanged_score'], late['score'])

  def test_another_number_of_games_is_played_without_exchange_too(self):
    agent, delays = self.measure(5)
    self.assertEqual((delays, agent['by_score']['num_games']), ([41, 0], 5))

  def test_either_criterion_is_enough_to_be_blind_and_both_are_needed_to_look(self):
    for exchanged, by_score in ((self.own['score'], True), (1000., True), (-1000., False)):
      agent, _ = self.measure(6, exchanged)
      self.assertIs(agent['by_score']['is_blind'], by_score)
      self.assertIs(agent['is_blind'], True if by_score else agent['by_loss'])
      for by_loss, expected in ((True, 'is blind'), (False, 'is blind' if by_score else 'looks')):
        agent |= {'by_loss': by_loss, 'is_blind': by_loss or by_score}
        lines = run_floors.sentences({'labels': None, 'agent': agent, 'scores': None})
        self.assertEqual(lines[0], f'The agent {expected}.')
        self.assertIn('with the images of 41 steps before, '
                      f'{exchanged:.4g} points instead of {self.own["score"]:.4g} (', lines[2])

  def test_without_games_it_is_blind_or_cannot_be_told(self):
    agent, delays = self.measure(0)
    self.assertEqual(delays, [])
    self.assertEqual(agent['by_score'], {'unknown': 'not measured: python -m experiments.floors'})
    self.assertIs(agent['is_blind'], agent['by_loss'] or None)

  def test_damaged_evaluation_is_named(self):
    path = self.run_dir / 'eval' / 'step_0000002.json'
    before = path.read_bytes()
    self.addCleanup(path.write_bytes, before)
    path.write_bytes(before[:50])
    with self.assertRaisesRegex(ValueError, 'step_0000002.json: not JSON'):
      self.measure(6)


if __name__ == '__main__':
  absltest.main()
