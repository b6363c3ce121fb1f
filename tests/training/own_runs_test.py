"""Training on anybody's own data: which labels it takes, and what it refuses."""

import contextlib
import io
import json
import pathlib
import shutil
import tempfile
from unittest import mock

import numpy as np
from absl import flags
from absl.testing import absltest, flagsaver, parameterized

from alpt_jax import domains
from alpt_jax.data import environment_file, labelled_dataset, labels, records
from alpt_jax.labelling import votes
from alpt_jax.training import exposure, inputs, run_config, stopping, train
from experiments import evaluate
from experiments import train as train_program
from experiments.configs import maze
from tests import own_runs
from tests.training import train_test

LENGTHS = (12, 30, 17, 8, 25, 40)
KNOWN = (1., 0., .6, 0., .3, 0.)  # Known: 12, 10 and 8 transitions; windows of 5: 2, 2 and 1.


class OwnDataTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def write(self, name='Play', lengths=LENGTHS, known=KNOWN, **kwargs):
    described = kwargs.pop('described', own_runs.environment(name))
    return own_runs.write(self.root / name, lengths, known=known, described=described, **kwargs)

  def config(self, workdir='run', **changes):
    return own_runs.config(self.root, self.root / workdir, **changes)

  def choose(self, **changes):
    config = self.config(**changes)
    data = domains.of(config).read('Play')
    return labels.choose_known_windows(data, budget=config.num_labels, window=5,
                                       seed=config.label_seed, held_out=config.held_out)

  def test_windows_of_known_actions_by_hand(self):
    self.write()
    self.assertEqual(self.choose(held_out=0.).tolist(), [[0, 0], [0, 5], [2, 0], [2, 5], [4, 0]])

  def test_held_out_episodes_give_no_label(self):
    self.write()
    chosen = [{e for e, _ in self.choose(label_seed=seed).tolist()} for seed in range(20)]
    self.assertEqual({len(episodes) for episodes in chosen}, {2})
    self.assertLen({tuple(sorted(episodes)) for episodes in chosen}, 3)

  def test_budget_takes_some_of_them(self):
    self.write()
    everything = self.choose(held_out=0.).tolist()
    some = self.choose(held_out=0., num_labels=10).tolist()
    self.assertLen(some, 2)
    self.assertContainsSubset(map(tuple, some), set(map(tuple, everything)))

  @parameterized.parameters(
      (dict(held_out=0., num_labels=7), 'it is 7; expected a multiple of the window of 5'),
      (dict(held_out=0., num_labels=30), 'of at most 25, the known actions'))
  def test_refuses_a_budget_that_is_not_there(self, changes, message):
    self.write()
    with self.assertRaisesRegex(ValueError, message):
      self.choose(**changes)

  def test_refuses_data_without_labels_and_one_labelled_episode(self):
    self.write(known=0.)
    with self.assertRaisesRegex(ValueError, 'no 5 transitions in a row have a known action'):
      self.choose()
    shutil.rmtree(self.root / 'Play')
    self.write(known=(1., 0, 0, 0, 0, 0))
    with self.assertRaisesRegex(ValueError, 'held_out is 0.2, and 1 episode has labels'):
      self.choose()

  def test_refuses_a_source_that_shows_the_target_with_other_labels(self):
    self.write()
    self.write('Copy', known=(.9, 1., 1., 1., 1., 1.))
    config = self.config(sources=('Copy',), method='alpt')
    with self.assertRaisesRegex(ValueError, 'Copy holds 6 of the 6 episodes of the target Play'):
      train.train(config, config.workdir)
    self.assertFalse((self.root / 'run').exists())

  def test_refuses_a_source_that_shows_one_episode_of_the_target(self):
    self.write()
    self.write('Copy', lengths=(LENGTHS[0], 25), known=(.9, 1.))
    config = self.config(sources=('Copy',), method='alpt')
    with self.assertRaisesRegex(ValueError, 'Copy holds 1 of the 6 episodes of the target Play'):
      train.train(config, config.workdir)

  def test_trains_on_target_and_cousin_that_know_different_actions(self):
    self.write()
    self.write('Cousin', lengths=(20, 30), known=1., seed=1, described=own_runs.environment(
        'Cousin', legal=('stay', 'left', 'right')))
    config = self.config(argument='tiny,sources=Cousin')
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    choice = labels.read_choice(self.root / 'run' / 'labels.json')
    self.assertEqual(choice.budget, len(choice.windows) * 5)
    with np.load(self.root / 'run' / 'labels' / 'step_0000004.npz') as saved:
      was_labelled = saved['was_labelled'][saved['is_counted']].sum()
      self.assertLessEqual(was_labelled, choice.budget)  # Of all windows, only 8 are shown.
    scores = json.loads((self.root / 'run' / 'eval' / 'step_0000004.json').read_text())
    self.assertEqual(scores, {'step': 4})  # Nobody plays it.

  def test_where_nothing_can_be_played_there_is_no_score_and_nothing_to_film(self):
    self.write()
    config = self.config(num_label_windows=0)
    train.train(config, config.workdir)
    self.evaluate(config)
    found = json.loads((self.root / 'run' / 'eval' / 'final.json').read_text())
    self.assertEqual(set(found), {'step', 'label_accuracy'})
    with flagsaver.flagsaver(video=str(self.root / 'a.gif')), self.assertRaisesRegex(
        ValueError, '--video: evaluation.game is empty'):
      evaluate.main(config)

  def evaluate(self, config):
    """Returns what `evaluate` prints: standard output, standard error."""
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    with contextlib.redirect_stdout(io.StringIO()) as out, \
        contextlib.redirect_stderr(io.StringIO()) as error:
      evaluate.main(config)
    return out.getvalue(), error.getvalue()

  def test_an_idm_alone_is_scored_where_hidden_actions_are_known(self):
    self.write(known=1.)
    config = self.config(train_dt=False, num_label_windows=0)  # All: those held out, too.
    train.train(config, config.workdir)
    out, error = self.evaluate(config)
    found = json.loads(out)
    self.assertEqual(set(found), {'step', 'label_accuracy'})
    self.assertEqual(list(found['label_accuracy']), ['0', '2', '4'])
    with np.load(self.root / 'run' / 'labels' / 'step_0000004.npz') as saved:
      is_hidden = saved['is_counted'] & ~saved['was_labelled']  # Every action is recorded.
    self.assertRegex(error, (
        f'^label_accuracy: .* of {is_hidden.sum()} transitions whose action training did not know, '
        f'in {is_hidden.any(axis=1).sum()} single windows of 5, as labelled during training\n'
        f'no agent was played; python -m experiments.audit --run={config.workdir} says .* where '
        'all windows vote\n$'))

  @parameterized.parameters(
      (dict(train_dt=False), r'it has no agent \(train_dt is False\), and its IDM labelled no '
                             'transition whose hidden action is known.* experiments.audit --run='),
      ({}, 'evaluation.game is empty, so nothing plays its agent, and its IDM labelled no '),
      (dict(method='dt'), "evaluation.game is empty, .* and method 'dt' trains no IDM. If .* "
                          '--config.evaluation.game'))
  def test_a_run_with_nothing_to_score_is_refused(self, changes, message):
    self.write(lengths=(10, 20, 15), known=(1., 0., 2 / 3))  # Whole windows of known actions.
    config = self.config(held_out=0., **changes)  # Training knows them all.
    train.train(config, config.workdir)
    with self.assertRaisesRegex(ValueError, f'^{config.workdir}: nothing to score: {message}'):
      self.evaluate(config)
    self.assertFalse((self.root / 'run' / 'eval' / 'final.json').exists())

  def test_unknown_actions_change_nothing(self):
    self.write()
    before = self.config('before')
    train.train(before, before.workdir)
    shutil.rmtree(self.root / 'Play')
    self.write(garbage=3)
    after = self.config('after')
    train.train(after, after.workdir)
    for a, b in zip(*map(train_test.final_params, (before, after)), strict=True):
      np.testing.assert_array_equal(a, b)

  def label(self, name='Labelled'):
    """Labels Play as an IDM would that always says 'up'."""
    def say_up(groups):
      for episodes, numbers in groups:
        for e in numbers:
          length = episodes.num_transitions[e]
          yield votes.Votes(e, np.tile(np.eye(4, dtype=np.float32)[3], (length, 1)),
                            np.ones(length, int))

    described = environment_file.read(self.root / 'Play' / environment_file.FILE)
    labelled_dataset.write(
        records.Dataset(self.root / 'Play', described.spec()), self.root / name,
        say_up, labelled_dataset.Settings(), provenance={})

  def read(self, argument):
    config = self.config(argument=argument)
    phase, _ = run_config.check_run(config)
    return inputs.read_data(config, phase)

  def test_another_idm_takes_no_label_for_a_known_action(self):
    self.write()
    self.label()
    wanted, found = (self.read(f'tiny,target={name}') for name in ('Play', 'Labelled'))
    np.testing.assert_array_equal(found.choices['Labelled'].windows, wanted.choices['Play'].windows)
    for e in range(len(LENGTHS)):
      for a, b in zip(found.episodes['Labelled'].actions_of(e),
                      wanted.episodes['Play'].actions_of(e), strict=True):
        np.testing.assert_array_equal(a, b)

  def test_no_label_is_truth_for_an_audit_or_known_of_a_source(self):
    self.write()
    self.label()
    self.label('Source')
    truth = domains.of(self.config()).read('Labelled')
    self.write('Other', seed=1)
    source = self.read('tiny,target=Other,sources=Source').episodes['Source']
    for read in (truth, source):
      self.assertEqual(read.num_labelled.tolist(), [12, 0, 10, 0, 8, 0])
      self.assertEqual([read.actions_of(e)[1].sum() for e in range(6)], [12, 0, 10, 0, 8, 0])

  def test_agents_that_train_on_all_there_is_train_on_labels(self):
    truth = self.write()
    self.label()
    read = self.read('tiny,target=Labelled,method=dt').episodes['Labelled']
    for e, actions in enumerate(truth):
      found, is_labelled = read.actions_of(e)
      self.assertTrue(is_labelled.all())
      np.testing.assert_array_equal(
          found, np.where(np.arange(len(actions)) < round(KNOWN[e] * len(actions)), actions, 3))

  def test_oracle_is_refused_where_a_true_action_is_not_known(self):
    self.write()
    self.label()
    self.write('Known', known=1.)
    for name in ('Play', 'Labelled'):  # An IDM's labels are none.
      with self.assertRaisesRegex(
          ValueError, rf"method is 'oracle', .* {name} has 30 true ones of 132; .*method=dt"):
        self.read(f'tiny,target={name},method=oracle')
    found = self.read('tiny,target=Known,method=oracle').episodes['Known']
    self.assertEqual([found.actions_of(e)[1].sum() for e in range(6)], list(LENGTHS))

  def test_dt_trains_on_every_action_that_is_there(self):
    self.write()
    config = self.config(argument='tiny,method=dt', log_every_steps=1)
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    lines = train_test.metrics_lines(config)
    self.assertTrue(all(line['dt/action_loss'] >= 0 for line in lines))
    self.assertGreater(max(line['dt/action_loss'] for line in lines), 0)

  @parameterized.parameters(
      (dict(space=('stay', 'right', 'left', 'up')), 'actions.space of Cousin is'),
      (dict(shape=(28, 14, 1)), r'observation.shape of Cousin is \(28, 14, 1\), of Play'))
  def test_refuses_environments_that_do_not_go_together(self, changes, message):
    self.write()
    described = own_runs.environment('Cousin', **changes)
    (self.root / 'Cousin').mkdir()
    own_runs.environment_file.write(self.root / 'Cousin' / 'environment.json', described)
    with self.assertRaisesRegex(ValueError, message):
      run_config.check_run(self.config(argument='tiny,sources=Cousin'))

  def test_says_which_data_has_no_rewards(self):
    self.write()
    self.write('Paid', described=own_runs.environment('Paid', reward=True))
    line = 'Play has no rewards: the agent imitates what was done (behaviour cloning).'
    for argument, wanted in (('tiny', [line]), ('tiny,target=Paid', []),
                             ('tiny,target=Paid,sources=Play', [line])):
      config = self.config(argument=argument)
      self.assertEqual(domains.notes(config), wanted)
      for is_agent_trained in (True, False):
        config.train_dt, written = is_agent_trained, io.StringIO()
        exposure.write([], [], config, 5, written)
        self.assertEqual(written.getvalue().splitlines(), wanted if is_agent_trained else [])
    self.assertEqual(domains.notes(maze.get_config('tiny')), [])

  def test_notes_come_when_training_starts_and_not_before_an_error(self):
    self.write()
    config = self.config(compilation_cache_dir='', num_labels=100)
    with contextlib.redirect_stdout(io.StringIO()) as out, \
        contextlib.redirect_stderr(io.StringIO()) as error:
      with self.assertRaisesRegex(ValueError, 'num_labels of Play: it is 100; expected'):
        train_program.main(config)
      note = 'Play has no rewards: the agent imitates what was done (behaviour cloning).\n'
      self.assertNotIn(note, out.getvalue() + error.getvalue())
      config.num_labels = 0
      self.assertEqual(train_program.main(config), stopping.DONE)
    self.assertEqual(error.getvalue().count(note), 1)
    self.assertEqual(out.getvalue(), f'{config.workdir}: done.\n')

  def test_says_how_much_of_the_data_a_dt_can_learn_from(self):
    self.write(described=own_runs.environment(reward=True))
    lines = domains.notes(self.config(argument='tiny,method=dt'))
    self.assertLen(lines, 1)
    self.assertRegex(lines[0], r'^Play: \d+ of \d+ transitions have an action; method dt learns')
    self.label()
    self.assertEmpty(domains.notes(self.config(argument='tiny,target=Labelled,method=dt')))

  @parameterized.parameters(0, 3, 56)
  def test_refuses_patches_that_do_not_fill_the_images(self, size):
    self.write()
    config = self.config()
    config.model.patch_size = size
    with self.assertRaisesRegex(
        ValueError, rf'^model.patch_size is {size}; expected one of \[1, 2, 4, 7, 14, 28\], which '
                    'divide the 28 x 28 of observations of Play'):
      train.train(config, config.workdir)
    self.assertFalse((self.root / 'run').exists())

  def test_convolutions_need_multiples_of_4_but_no_patches_that_fit(self):
    self.write()
    with mock.patch.object(own_runs, 'SIZE', 30):
      self.write('Odd', described=own_runs.environment('Odd', shape=(30, 30, 1)))
    config = self.config(train_dt=False)
    config.model.update(idm_tokenizer='conv', dt_tokenizer='conv', patch_size=0)
    self.assertEqual(train.train(config, config.workdir), 0)
    config.target = 'Odd'
    with self.assertRaisesRegex(ValueError, "^model.idm_tokenizer is 'conv', which reads .* "
                                            r"multiples of 4; .* of Odd are \(30, 30, 1\)"):
      run_config.check_run(config)
    config.model.idm_tokenizer = 'patch'
    with self.assertRaisesRegex(ValueError, '^model.dt_tokenizer is'):
      run_config.check_run(config)
    config.model.dt_tokenizer = 'patch'
    with self.assertRaisesRegex(ValueError, '^model.patch_size is 0'):
      run_config.check_run(config)

  def test_refuses_to_predict_rewards_that_are_not_there(self):
    self.write()
    self.write('Paid', described=own_runs.environment('Paid', reward=True))
    for argument in ('tiny', 'tiny,target=Paid,sources=Play'):
      with self.assertRaisesRegex(ValueError, 'reward_weight is 0.5, and Play has no rewards'):
        run_config.check_run(self.config(argument=argument, reward_weight=.5))
    run_config.check_run(self.config(argument='tiny,target=Paid', reward_weight=.5))

  def test_refuses_a_game_that_the_data_is_not_of(self):
    self.write()
    config = self.config()
    config.evaluation.game = 'Breakout'
    with self.assertRaisesRegex(ValueError, 'evaluation.game is Breakout; expected observations'):
      run_config.check_run(config)

  def test_names_the_directory_that_is_not_there(self):
    self.write('Other')
    with self.assertRaisesRegex(
        FileNotFoundError, r"no environment 'Play'; data_dir has \['Other'\]"):
      run_config.check_run(self.config())
    with self.assertRaisesRegex(FileNotFoundError, 'Play/environment.json: no such file'):
      run_config.check_run(self.config())


if __name__ == '__main__':
  absltest.main()
