"""The audit of labels: numbers worked by hand, and warnings where they belong and nowhere else."""

import collections
import json
import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data import episodes as episodes_lib
from alpt_jax.labelling import audit

Said = collections.namedtuple('Said', 'episode probabilities')  # As `votes.Votes`.

# Six transitions of two episodes. The environment knows 0, 2 and 3 of the four actions. Labels:
# NOOP, LEFT, LEFT, RIGHT, NOOP, NOOP.
PROBABILITIES = np.array([[.7, 0, .2, .1],
                          [.1, 0, .6, .3],
                          [.3, 0, .5, .2],
                          [.0, 0, .1, .9],
                          [.4, 0, .4, .2],
                          [.8, 0, .1, .1]])
ACTIONS = np.array([0, 2, 0, 3, 2, 0])
NAMES = ('NOOP', 'FIRE', 'LEFT', 'RIGHT')


def small(**changes):
  return audit.Predictions(
      'Breakout', PROBABILITIES, ACTIONS, np.array([4, 4, 4, 7, 7, 7]),
      np.array([0, 1, 2, 0, 1, 2]), NAMES, (3, 0, 2), 0)._replace(**changes)


def drawn(num_episodes=10, length=60, lag=0, sharpness=1., seed=0, name='Pong', kind='held out',
          num_actions=3):
  """Calibrated probabilities, three actions, if `sharpness` is 1; too sure if it is above."""
  rng = np.random.default_rng(seed)
  logits = 2 * rng.normal(size=(num_episodes, length, num_actions))
  noise = rng.gumbel(size=logits.shape)
  actions = (logits + noise).argmax(axis=2)
  weights = np.exp(sharpness * np.roll(logits, -lag, axis=1))
  probabilities = (weights / weights.sum(axis=2, keepdims=True)).reshape(-1, num_actions)
  return audit.Predictions(
      name, probabilities.astype(np.float32), actions.reshape(-1),
      np.repeat(np.arange(num_episodes), length), np.tile(np.arange(length), num_episodes),
      ('NOOP', 'UP', 'DOWN'), (0, 1, 2), 0, kind)


def constant(action=1, **settings):
  predictions = drawn(**settings)
  probabilities = np.tile(np.where(np.arange(3) == action, .6, .2), (len(predictions.actions), 1))
  return predictions._replace(probabilities=probabilities)


def kinds(*predictions):
  return [warning['kind'] for warning in audit.audit(list(predictions))['warnings']]


def text(*predictions):
  return ' '.join(warning['text'] for warning in audit.audit(list(predictions))['warnings'])


def mean(value, half=.01):
  low, high = (None, None) if half is None else (value - half, value + half)
  return {'value': value, 'low': low, 'high': high, 'num_transitions': 9, 'num_episodes': 3}


def between(table, margin=None, **changes):
  """Floors as `run_floors.of_audit` gives them; `margin` is the mean by which labels are above."""
  return {'floors': {'num_labels': 250, 'majority': mean(.4), 'table': mean(table), 'linear': None,
                     'best': 'table', 'margin': margin or mean(.1)},
          'random_draws': {'unknown': 'no step field action_is_random'},
          'ceiling': {'expected': mean(.9), 'realised': mean(.93)}} | changes


class NumbersTest(absltest.TestCase):

  def test_by_hand(self):
    found, = audit.audit([small()])['environments']
    self.assertEqual((found['name'], found['kind']), ('Breakout', 'held out'))
    self.assertEqual((found['num_transitions'], found['num_episodes']), (6, 2))
    # Right: the first two; the first and the last of the second episode.
    self.assertEqual(found['accuracy'], {'value': 4 / 6, 'low': 2 / 3, 'high': 2 / 3, 'level': .95})
    self.assertAlmostEqual(found['gain']['value'], 4 / 6 - 3 / 6)
    self.assertEqual([round(found['gain'][key], 9) for key in ('low', 'high')],
                     [0., round(1 / 3, 9)])
    self.assertAlmostEqual(found['balanced_accuracy'], (2 / 3 + 1 / 2 + 1) / 3)
    self.assertEqual(found['baselines'], {
        'majority': 'NOOP', 'majority_accuracy': .5, 'no_op': 'NOOP', 'no_op_accuracy': .5,
        'chance_accuracy': 1 / 3})
    np.testing.assert_allclose(found['top_k'], [4 / 6, 1, 1])
    self.assertAlmostEqual(found['nll'], -sum(map(math.log, (.7, .6, .3, .9, .4, .8))) / 6)
    self.assertAlmostEqual(found['nll_uniform'], math.log(3))
    self.assertEqual(found['actions'], ['NOOP', 'LEFT', 'RIGHT'])
    self.assertEqual(found['labels'], {'most_frequent': 'NOOP', 'share': .5, 'is_constant': False})
    self.assertIsNone(found['floors'])
    self.assertEqual(found['confusion'], [[2, 1, 0], [1, 1, 0], [0, 0, 1]])
    self.assertEqual(found['calibration']['count'], [1] * 6)
    # Confidences .4 and .5 are wrong, the others right.
    self.assertAlmostEqual(found['calibration']['error'], (.4 + .5 + .4 + .3 + .2 + .1) / 6)
    self.assertAlmostEqual(found['calibration']['mean_confidence'], 3.9 / 6)
    self.assertEqual(found['coverage']['threshold'], [.9, .8, .7, .6, .5, .4])
    np.testing.assert_allclose(found['coverage']['accuracy'], [1, 1, 1, 1, 4 / 5, 4 / 6])
    self.assertAlmostEqual(found['coverage']['area'], (4 + 4 / 5 + 4 / 6) / 6)
    self.assertEqual(found['lag']['shifts'], [-3, -2, -1, 0, 1, 2, 3])
    self.assertEqual(found['lag']['num_transitions'], [0, 2, 4, 6, 4, 2, 0])
    self.assertEqual(found['lag']['accuracy'][0], None)
    # One later in an episode: NOOP LEFT of LEFT NOOP, RIGHT NOOP of LEFT NOOP.
    self.assertEqual(found['lag']['accuracy'][4], 1 / 4)

  def test_one_sentence_says_it(self):
    self.assertEqual(audit.audit([small()])['headlines'], [
        'Labels are right in 67 % (67–67) of 6 transitions of 2 held-out episodes of Breakout; '
        'the most frequent action (NOOP) in 50 %, no other floor was measured.'])
    self.assertEqual(audit.audit([small(actions=np.array([2, 2, 2, 3, 2, 0]))])['headlines'], [
        'Labels are right in 67 % (67–67) of 6 transitions of 2 held-out episodes of Breakout; '
        'the most frequent action (LEFT) in 67 %, always NOOP in 17 %, no other floor was '
        'measured.'])

  def test_json_holds_all_of_it(self):
    found = audit.audit([small(), drawn(), drawn(name='Freeway', kind='trained on')])
    self.assertEqual(json.loads(json.dumps(found, allow_nan=False)), found)
    self.assertEqual(found['format'], audit.FORMAT)

  def test_no_action_that_does_nothing(self):
    for no_op in (None, 1):  # FIRE is not legal.
      found, = audit.audit([small(no_op=no_op)])['environments']
      self.assertEqual([found['baselines'][key] for key in ('no_op', 'no_op_accuracy')],
                       [None, None])

  def test_long_coverage_curves_keep_two_hundred_points_and_the_ends(self):
    found, = audit.audit([drawn(num_episodes=20, length=100)])['environments']
    curve = found['coverage']
    self.assertLen(curve['coverage'], 200)
    np.testing.assert_allclose(curve['coverage'], np.arange(1, 201) / 200, atol=1e-9)
    self.assertEqual(curve['accuracy'][-1], found['accuracy']['value'])

  def test_examples_are_passed_on_and_change_no_number(self):
    with_examples, = audit.audit([small(examples=({'episode': 4},))])['environments']
    without, = audit.audit([small()])['environments']
    self.assertEqual(with_examples, without | {'examples': [{'episode': 4}]})
    self.assertEqual(without['examples'], [])

  def test_same_input_same_numbers(self):
    self.assertEqual(audit.audit([drawn()]), audit.audit([drawn()]))


class TemperatureTest(absltest.TestCase):

  def test_overconfident_labels_get_their_temperature(self):
    found = audit.audit([drawn(num_episodes=40, sharpness=3.)])
    fit = found['temperature_fit']
    self.assertAlmostEqual(found['temperature'], 3., delta=.3)
    self.assertEqual(found['temperature'], fit['fitted'])
    self.assertEqual((fit['num_episodes_fitted'], fit['num_episodes_judged']), (20, 20))
    self.assertLess(fit['nll_after'], fit['nll_before'] - .1)
    self.assertGreater(fit['before']['error'], .1)
    self.assertLess(fit['after']['error'], fit['after']['error_by_chance'])

  def test_training_gets_that_of_single_windows(self):
    votes, single = (drawn(num_episodes=40, sharpness=x) for x in (3., 2.))
    found = audit.audit([votes], [single], stride=2)
    self.assertEqual(found['stride'], 2)
    self.assertAlmostEqual(found['temperature'], 3., delta=.3)
    self.assertAlmostEqual(found['training_temperature'], 2., delta=.2)
    self.assertEqual(found['training_temperature_fit'], audit.audit([single])['temperature_fit'])
    self.assertEqual(found['environments'], audit.audit([votes])['environments'])
    alone = audit.audit([votes], stride=5)  # Windows that do not overlap are single already.
    self.assertEqual(alone['training_temperature'], alone['temperature'])
    self.assertEqual(alone['training_temperature_fit'], alone['temperature_fit'])

  def test_is_fitted_and_judged_on_different_episodes(self):
    predictions = drawn(num_episodes=7)

    def fit(actions, seed=0):
      return audit.audit([predictions._replace(actions=actions)], seed=seed,
                         num_resamples=200)['temperature_fit']

    before = fit(predictions.actions)
    self.assertEqual((before['num_episodes_fitted'], before['num_episodes_judged']), (4, 3))
    changed = []
    for episode in range(7):
      is_in = predictions.episodes == episode
      after = fit(np.where(is_in, (predictions.actions + 1) % 3, predictions.actions))
      changed.append((after['fitted'] != before['fitted'],
                      after['nll_before'] != before['nll_before']))
    self.assertEqual(sorted(changed), [(False, True)] * 3 + [(True, False)] * 4)
    self.assertNotEqual(fit(predictions.actions, seed=1)['fitted'], before['fitted'])

  def test_what_does_not_help_the_other_half_is_not_recommended(self):
    # Labels of one half are right, those of the other wrong; all are equally sure.
    predictions = drawn(num_episodes=2, length=50)
    probabilities = np.tile([.6, .2, .2], (100, 1))
    actions = np.repeat([0, 1], 50)
    found = audit.audit([predictions._replace(probabilities=probabilities, actions=actions)])
    self.assertEqual(found['temperature'], 1.)
    self.assertTrue(found['temperature_fit']['is_at_bound'])

  def test_what_worsens_the_calibration_of_the_other_half_is_not_recommended(self):
    # One half is right in 30 of 50, as sure as .9: the best is T = log(.9 / .1) / log(.6 / .4).
    # The other is in 44 of 50, so a confidence of .6 is .28 too low where .9 was .02 too high,
    # and that costs more nats, too; in 38 of 50 only the calibration error gets worse.
    def fit(num_right):
      halves = [np.arange(50) < 30, np.arange(50) < num_right]
      ids = np.random.default_rng(0).permutation(2)  # The first of them is fitted to.
      is_right = np.concatenate([halves[list(ids).index(e)] for e in range(2)])
      return audit.audit([drawn(num_episodes=2, length=50)._replace(
          probabilities=np.tile([.9, .1, 0], (100, 1)), actions=np.where(is_right, 0, 1),
          legal_actions=(0, 1))])

    expected = math.log(9) / math.log(1.5)
    for num_right, is_used in ((30, True), (38, False), (44, False)):
      found = fit(num_right)
      self.assertAlmostEqual(found['temperature_fit']['fitted'], expected, places=2)
      self.assertAlmostEqual(found['temperature_fit']['before']['error'], .9 - num_right / 50)
      self.assertEqual(found['temperature'] != 1, is_used)
    # 37.5 of 50 would be where the errors are equal; of 38, .14 before and .16 after.
    self.assertLess(fit(38)['temperature_fit']['nll_after'],
                    fit(38)['temperature_fit']['nll_before'])

  def test_none_without_two_unknown_episodes(self):
    for predictions in (drawn(num_episodes=1), drawn(kind='trained on'), drawn(kind='never seen')):
      found = audit.audit([predictions])
      self.assertIsNone(found['temperature'])
      self.assertIsNone(found['temperature_fit'])
      self.assertIsNone(found['training_temperature'])

  def test_targets_share_one_and_other_environments_have_no_part(self):
    both = audit.audit([drawn(num_episodes=40, sharpness=3.), small(kind='hidden'),
                        drawn(name='Freeway', kind='trained on'),
                        drawn(name='Seaquest', kind='never seen', sharpness=9.)])
    self.assertAlmostEqual(both['temperature'], 3., delta=.3)
    self.assertEqual(both['temperature_fit']['num_episodes_fitted'], 21)

  def test_probability_that_single_precision_lost_is_no_infinity(self):
    predictions = drawn(num_episodes=4)
    probabilities = predictions.probabilities.copy()
    probabilities[:5] = np.eye(3)[(predictions.actions[:5] + 1) % 3]  # Certain, and wrong.
    found = audit.audit([predictions._replace(probabilities=probabilities)])
    self.assertTrue(math.isfinite(found['temperature_fit']['nll_after']))


class WarningsTest(parameterized.TestCase):

  def test_good_labels_have_none(self):
    self.assertEmpty(kinds(drawn()))

  def test_constant_labels_have_collapsed_and_are_no_better_than_the_majority(self):
    self.assertContainsSubset(['majority', 'collapse'], kinds(constant()))
    self.assertIn('Pong: every label is UP: the IDM has collapsed.', text(constant()))
    self.assertRegex(text(constant()), 'no better than always saying')

  def test_labels_that_are_rightly_constant_have_not_collapsed(self):
    predictions = constant()
    self.assertNotIn('collapse', kinds(predictions._replace(actions=np.ones(600, int))))

  def test_an_action_that_is_never_said_is_named_with_its_share(self):
    predictions = drawn()
    probabilities = predictions.probabilities.copy()
    probabilities[:, 2] = 0
    probabilities[:, 0] += 1e-3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = text(predictions._replace(probabilities=probabilities))
    share = round(100 * np.mean(predictions.actions == 2))
    self.assertIn(f'never said: DOWN (true in {share} %)', found)
    self.assertNotIn('UP (', found)

  def test_a_rare_action_may_be_missed(self):
    predictions = drawn()
    legal = predictions._replace(
        probabilities=np.pad(predictions.probabilities, ((0, 0), (0, 1))),
        action_names=(*predictions.action_names, 'RARE'), legal_actions=(0, 1, 2, 3))
    self.assertEmpty(kinds(legal))
    legal.actions[:6] = 3  # 1 %.
    self.assertIn('never said: RARE (true in 1.0 %)', text(legal))

  @parameterized.parameters(
      (1, '1 transition too early: .* % of them are what was done 1 transition later'),
      (-2, '2 transitions too late: .* % of them are what was done 2 transitions earlier'))
  def test_shifted_labels_are_found(self, lag, message):
    self.assertRegex(text(drawn(lag=lag)), f'labels come {message}')

  def test_a_shift_in_few_episodes_is_only_suspected(self):
    found = text(drawn(num_episodes=3, lag=1))
    self.assertRegex(found, 'labels may come 1 transition too early: .*3 episodes are too few')
    # Guesses are a little better at some other shift.
    noise = drawn(num_episodes=3, lag=20, seed=5)
    self.assertBetween(audit.audit([noise])['environments'][0]['lag']['gain'], .1, .2)
    self.assertNotIn('lag', kinds(noise))

  def test_miscalibration_says_in_which_direction(self):
    self.assertRegex(text(drawn(sharpness=3.)), 'badly calibrated, mostly too sure of themselves')
    self.assertRegex(text(drawn(sharpness=.3)), 'badly calibrated, mostly less sure')

  def test_few_transitions_are_not_called_miscalibrated(self):
    found = audit.audit([drawn(num_episodes=8, length=8)])
    self.assertGreater(found['environments'][0]['calibration']['error'], .05)
    self.assertEmpty(found['warnings'])

  def test_few_episodes(self):
    self.assertEqual(kinds(drawn(num_episodes=7, seed=1)), ['episodes'])
    found = audit.audit([drawn(num_episodes=1)])
    self.assertIn('one episode says nothing about others', found['warnings'][0]['text'])
    self.assertRegex(found['headlines'][0], r'^Labels are right in \d\d % of 60 transitions of 1 '
                                            'held-out episode of Pong; ')
    accuracy = found['environments'][0]['accuracy']
    self.assertEqual((accuracy['low'], accuracy['high']), (None, None))

  def test_what_training_knew_never_enters_the_headline(self):
    known = drawn(name='Freeway', kind='trained on')
    self.assertEqual([line.split(' of ')[-1].split(';')[0] for line in
                      audit.audit([drawn(), known])['headlines']], ['Pong'])
    self.assertRegex(audit.audit([known])['headlines'][0], 'Nothing here was held out')
    self.assertIn('Freeway: trained on, not held out', text(drawn(), known))

  def test_of_what_training_knew_only_a_lag_or_collapse_is_said(self):
    known = dict(kind='trained on', num_episodes=9)
    self.assertEqual(kinds(drawn(sharpness=3., **known)), ['known'])
    self.assertEqual(kinds(drawn(lag=1, **known)), ['lag', 'known'])
    self.assertEqual(kinds(constant(**known)), ['collapse', 'known'])

  def test_environments_that_training_never_saw_say_so(self):
    found = audit.audit([drawn(kind='never seen')])
    self.assertIn(' of 10 episodes of Pong, which training never saw;', found['headlines'][0])
    self.assertEmpty(found['warnings'])

  def test_hidden_transitions_of_known_episodes_say_so(self):
    found = audit.audit([drawn(kind='hidden')])
    self.assertIn(' of 600 hidden transitions of 10 episodes of Pong;', found['headlines'][0])
    self.assertEqual([w['kind'] for w in found['warnings']], ['known'])


class RefusalTest(parameterized.TestCase):

  @parameterized.parameters(
      (dict(probabilities=np.full((6, 4), np.nan)), r'probabilities\[0, 0\] is nan'),
      (dict(probabilities=PROBABILITIES[:, :3]), r'probabilities\[0\] sum to 0.9'),
      (dict(probabilities=PROBABILITIES[:5]), r'actions have shape \(6,\); expected \(5,\)'),
      (dict(probabilities=np.zeros((0, 4))), 'expected at least one transition'),
      (dict(legal_actions=(0, 2)), r'probabilities\[0, 3\] is 0.1; expected 0: the legal'),
      (dict(legal_actions=()), 'legal_actions are .*; expected at least one'),
      (dict(actions=np.array([0, 2, 0, 3, 1, 0])), r'actions\[4\] is 1 \(FIRE\); expected one of '
                                                   r'the legal actions \[0, 2, 3\]'),
      (dict(actions=np.array([0, 2, 0, 4, 1, 0])), r'actions\[3\] is 4; expected an id in'),
      (dict(episodes=np.array([4, 4, 4, 4, 7, 7])), 'transition 0 of episode 4 twice'),
      (dict(timesteps=np.arange(5)), r'timesteps have shape \(5,\)'),
      (dict(action_names=NAMES[:3]), 'action_names are 3; expected 4'),
      (dict(kind='seen'), "kind is 'seen'; expected one of"))
  def test_what_cannot_be_audited_is_named(self, changes, message):
    with self.assertRaisesRegex(ValueError, f'^predictions of Breakout: .*{message}'):
      audit.audit([small(**changes)])

  def test_nothing_and_twice_the_same_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'predictions are empty'):
      audit.audit([])
    with self.assertRaisesRegex(ValueError, 'predictions are of Breakout 2 times'):
      audit.audit([small(), small()])


def make_episodes(lengths=(3, 5, 4)):
  first = np.cumsum([0, *(n + 1 for n in lengths[:-1])])
  actions = np.concatenate([[*(np.arange(n) % 3), 0] for n in lengths]).astype(np.int32)
  is_labelled = np.ones(len(actions), bool)
  is_labelled[first + lengths] = False
  return episodes_lib.InMemory(
      np.zeros((len(actions), 1), np.float32), actions, np.zeros(len(actions), np.float32),
      is_labelled, first, np.array(lengths))


def say(episodes, numbers):
  """Probabilities that tell which transition they are of."""
  for number in numbers:
    yield Said(number, np.array([[number, t, 0.] for t in range(episodes.num_transitions[number])]))


class GatherTest(parameterized.TestCase):

  def gather(self, numbers=(2, 0), predict_fn=say, **settings):
    return audit.gather('toy', make_episodes(), list(numbers), predict_fn, **(dict(
        action_names=('NOOP', 'UP', 'DOWN'), legal_actions=(0, 1, 2), kind='held out') | settings))

  def test_truth_and_predictions_of_a_transition_stand_beside_each_other(self):
    found = self.gather()
    self.assertEqual(found.actions.tolist(), [0, 1, 2, 0, 0, 1, 2])
    self.assertEqual(found.episodes.tolist(), [2, 2, 2, 2, 0, 0, 0])
    self.assertEqual(found.timesteps.tolist(), [0, 1, 2, 3, 0, 1, 2])
    np.testing.assert_array_equal(found.probabilities[:, :2],
                                  np.stack([found.episodes, found.timesteps], axis=1))
    self.assertEqual((found.no_op, found.kind, found.name), (0, 'held out', 'toy'))

  def test_transitions_can_be_left_out(self):
    found = self.gather(is_used_fn=lambda number: np.arange(4 if number else 3) != number)
    self.assertEqual(found.episodes.tolist(), [2, 2, 2, 0, 0])
    self.assertEqual(found.timesteps.tolist(), [0, 1, 3, 1, 2])

  def test_unknown_actions_are_left_out(self):
    episodes = make_episodes()
    episodes.is_labelled[1] = False
    found = audit.gather('toy', episodes, [0], say, action_names=('A', 'B', 'C'),
                         legal_actions=(0, 1, 2), kind='hidden')
    self.assertEqual(found.timesteps.tolist(), [0, 2])
    self.assertIsNone(found.no_op)
    episodes.is_labelled[:] = False
    with self.assertRaisesRegex(ValueError, 'toy: no action is known of the 1 episodes'):
      audit.gather('toy', episodes, [0], say, action_names=('A', 'B', 'C'),
                   legal_actions=(0, 1, 2), kind='hidden')

  def test_progress_is_told(self):
    told = []
    self.gather(progress_fn=lambda *args: told.append(args))
    self.assertEqual(told, [(1, 4), (2, 7)])

  def test_predictions_of_other_episodes_or_shapes_are_refused(self):
    def in_order(episodes, numbers):
      return say(episodes, sorted(numbers))

    def too_short(episodes, numbers):
      return (said._replace(probabilities=said.probabilities[1:]) for said in
              say(episodes, numbers))

    with self.assertRaisesRegex(ValueError, r'toy are of episode 0 .*expected episode 2'):
      self.gather(predict_fn=in_order)
    with self.assertRaisesRegex(ValueError, r'shape \(3, 3\); expected episode 2 and \(4, 3\)'):
      self.gather(predict_fn=too_short)
    with self.assertRaises(ValueError):
      self.gather(predict_fn=lambda episodes, numbers: say(episodes, numbers[:1]))


if __name__ == '__main__':
  absltest.main()
