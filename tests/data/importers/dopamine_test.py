import gzip
import io
import os
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts
from alpt_jax.data import environment_file, png, writer
from alpt_jax.data.importers import checks, dopamine
from tests import exhaustive
from tests.data import own_data

ENVIRONMENT = own_data.environment(
    shape=(6, 5, 1), reward=environment_file.Reward(), returns=(-9, 9),
    actions=environment_file.Actions(space=('noop', 'up', 'down', 'jump'),
                                     stored=('noop', 'jump', 'up')))


def write(directory, number=0, **arrays):
  """Writes files as Dopamine's replay buffer does."""
  for name, array in arrays.items():
    prefix = '' if name == 'add_count' else '$store$_'
    with gzip.open(os.path.join(directory, f'{prefix}{name}_ckpt.{number}.gz'), 'wb') as f:
      np.save(f, array, allow_pickle=False)


def buffer(lengths, seed=0, *, num_padding=3, is_last_open=False):
  """Arrays of a buffer, and what the episodes in it are."""
  rng = np.random.default_rng(seed)
  rows, episodes = {name: [] for name in ('observation', 'action', 'reward', 'terminal')}, []
  for i, length in enumerate(lengths):
    played = {'observation': own_data.frames(rng, length, (6, 5)),
              'action': rng.integers(0, 3, length, dtype=np.int32),
              'reward': rng.choice([-1, 0, 1], length).astype(np.float32),
              'terminal': (np.arange(length) == length - 1).astype(np.uint8)}
    played['action'][0] = 1  # Not a blank step.
    if is_last_open and i == len(lengths) - 1:
      played['terminal'][-1] = 0
    episodes.append(played)
    for name, values in played.items():
      rows[name] += [np.zeros_like(values[:1]).repeat(num_padding, axis=0), values]
  return {name: np.concatenate(values) for name, values in rows.items()}, episodes


class ImportDopamineTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self._source = str(self._parent / 'source')
    os.mkdir(self._source)

  def _import(self, env=ENVIRONMENT, **settings):
    seen = []
    result = own_data.written(
        str(self._parent / 'data'),
        dopamine.recordings(self._source, env, progress=seen.append), env, **settings)
    self.assertEqual(seen, sorted(seen))
    self.assertEqual(seen[-1], dopamine.total(self._source))
    return result

  def test_a_buffer_has_no_parts(self):
    env = own_data.environment(shape=(6, 5, 1), actions=environment_file.ActionParts(
        parts=(action_parts.Binary('x'),)))
    with self.assertRaisesRegex(ValueError, 'actions of Own are parts; expected actions.space, '):
      next(dopamine.recordings(self._source, env))

  def _check(self, read, episodes):
    for (observations, actions, rewards, is_labelled), wanted in zip(
        own_data.split(read), episodes, strict=True):
      images = wanted['observation'][..., None]
      length = len(images) - 1
      if wanted['terminal'][-1]:
        images, length = np.concatenate([images, images[-1:]]), length + 1
      np.testing.assert_array_equal(observations, images)
      # The outcome of the last action is not there: an unknown action, which is written as 0.
      is_seen = ~wanted['terminal'][:length].astype(bool)
      self.assertEqual(is_labelled.tolist(), is_seen.tolist())
      # noop, jump and up are the actions 0, 3 and 1.
      self.assertEqual(actions.tolist(), [
          (0, 3, 1)[a] * s for a, s in zip(wanted['action'][:length], is_seen, strict=True)])
      np.testing.assert_array_equal(rewards, wanted['reward'][:length])

  @parameterized.parameters(*range(3))
  def test_episodes_of_several_files_come_back(self, seed):
    rng, episodes = np.random.default_rng(seed), []
    for number in (2, 10):
      arrays, played = buffer(rng.integers(2, 700, 4), seed + number,
                              num_padding=int(rng.integers(0, 4)), is_last_open=bool(seed % 2))
      write(self._source, number, **arrays)
      episodes += played
    card, read = self._import()
    self._check(read, episodes)
    self.assertEqual(card['left_out'], {})

  def test_a_buffer_that_came_round_is_cut_at_its_oldest_step(self):
    arrays, (first, second) = buffer([5, 30], num_padding=0)
    # Step 12 is the oldest: 40 steps were added to room for 35, of which 5 came round.
    write(self._source, add_count=np.array(35 + 12), **arrays)
    _, read = self._import()
    new = {name: values[:7] for name, values in second.items()}
    old = {name: values[7:] for name, values in second.items()}
    self._check(read, [first, new, old])

  @parameterized.parameters(
      (12, [5, 7]),  # The last of DQN replay: behind the cursor is what was played long ago.
      (34, [5, 29]),  # The first of DQN replay: its last row was never written.
      (5, [5]), (35, [5, 30]))
  def test_what_was_not_counted_is_no_play(self, num_added, lengths):
    arrays, episodes = buffer([5, 30], num_padding=0)
    write(self._source, add_count=np.array(num_added), **arrays)
    _, read = self._import()
    self._check(read, [{name: values[:length] for name, values in episode.items()}
                       for episode, length in zip(episodes, lengths, strict=False)])

  def test_a_blank_step_that_ends_an_episode_is_no_padding(self):
    arrays, episodes = buffer([6, 7], num_padding=2)
    blank = {name: np.zeros_like(values[:1]) for name, values in arrays.items()}
    blank['terminal'][0] = 1
    write(self._source, **{name: np.concatenate([blank[name], values])
                           for name, values in arrays.items()})
    card, read = self._import()
    self._check(read, episodes)
    self.assertEqual(card['left_out'], {checks.BLANK: 1})

  def test_files_that_do_not_fit_each_other(self):
    arrays, _ = buffer([8])
    write(self._source, **arrays | {'reward': arrays['reward'][:-1]})
    with self.assertRaisesRegex(ValueError, r"observation_ckpt.0.gz: has .*'reward': 10.*expected "
                                            'the same number'):
      self._import()

  def test_a_file_that_is_missing(self):
    arrays, _ = buffer([8])
    del arrays['action']
    write(self._source, **arrays)
    with self.assertRaisesRegex(ValueError, r'\$store\$_action_ckpt.0.gz is missing'):
      self._import()

  @parameterized.parameters('observation', 'terminal')
  def test_a_file_that_breaks_off(self, name):
    write(self._source, 0, **buffer([8, 700], seed=1)[0])
    arrays, episodes = buffer([8, 9], seed=2)
    write(self._source, 1, **arrays)
    path = pathlib.Path(self._source, f'$store$_{name}_ckpt.0.gz')
    path.write_bytes(path.read_bytes()[:-12])  # The checksum, and a bit more.
    message = rf'{name}_ckpt.0.gz breaks off or is damaged'
    with self.assertRaisesRegex(ValueError, message):
      self._import()
    self.assertEqual(os.listdir(self._parent), ['source'])
    card, read = self._import(on_problem='skip')
    self.assertEqual(card['left_out'], {'damaged': 1})
    self.assertRegex(card['left_out_episodes'][0]['reason'], message)
    self._check(_Tail(read, 2), episodes)

  @parameterized.product(name=['observation', 'action', 'reward', 'terminal', 'add_count'],
                         level=[0, 9])
  def test_changed_bytes_are_seen(self, name, level):
    arrays, _ = buffer([8, 9], seed=3)
    # Two are counted: what is behind them is read, too, as the checksum is.
    write(self._source, 0, **arrays, add_count=np.array(2))
    stem = 'add_count_ckpt' if name == 'add_count' else f'$store$_{name}_ckpt'
    path = pathlib.Path(self._source, f'{stem}.0.gz')
    content = gzip.decompress(path.read_bytes())
    packed = gzip.compress(content, level)
    rng = np.random.default_rng(0)
    places = [*rng.integers(10, len(packed) - 8, 12), *range(len(packed) - 8, len(packed))]
    for place in exhaustive.some_of(places, seed=len(packed), at_least=4):
      changed = bytearray(packed)
      changed[place] ^= 1 << rng.integers(8)
      path.write_bytes(changed)
      for on_problem in ('error', 'skip'):
        with self.assertRaisesRegex(ValueError, '_ckpt.0.gz'):
          self._import(on_problem=on_problem, window=1)
    path.write_bytes(packed + gzip.compress(b'more'))
    with self.assertRaisesRegex(ValueError, f'{stem}.0.gz goes on'.replace('$', r'\$')):
      self._import(window=1)

  @parameterized.parameters(
      ('observation', np.float32, r'observation_ckpt.0.gz holds float32 .*; expected uint8'),
      ('observation', np.int16, 'holds int16'),
      ('action', np.float32, r'action_ckpt.0.gz holds float32 \[[0-9]+\]; expected integers, one'),
      ('reward', 'S4', r'reward_ckpt.0.gz holds \|S4 '),
      ('terminal', np.float64, 'terminal_ckpt.0.gz holds float64'))
  def test_arrays_of_another_type(self, name, dtype, message):
    arrays, _ = buffer([8])
    write(self._source, **arrays | {name: arrays[name].astype(dtype)})
    with self.assertRaisesRegex(ValueError, message):
      self._import()

  def test_actions_of_two_columns_and_pickles(self):
    arrays, _ = buffer([8])
    write(self._source, **arrays | {'action': arrays['action'][:, None]})
    with self.assertRaisesRegex(ValueError, r'action_ckpt.0.gz holds .*, 1\]; expected integers'):
      self._import()
    write(self._source, **arrays)
    for name in ('$store$_reward_ckpt.0.gz', 'add_count_ckpt.0.gz'):
      file = io.BytesIO()
      np.save(file, np.array([_Bomb()] * 10), allow_pickle=True)
      pathlib.Path(self._source, name).write_bytes(gzip.compress(file.getvalue()))
      with self.assertRaisesRegex(ValueError, 'an array object'):
        self._import()
      write(self._source, **arrays, add_count=np.array(10))

  def test_what_a_few_bytes_unpack_to_is_limited(self):
    arrays, _ = buffer([8])
    write(self._source, **arrays)
    path = pathlib.Path(self._source, '$store$_observation_ckpt.0.gz')
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {'descr': '|u1', 'fortran_order': False, 'shape': (10 ** 9, 6, 5)})
    path.write_bytes(gzip.compress(file.getvalue()))
    with self.assertRaisesRegex(ValueError, 'unpacks to 30 GB by its header, more than 200 times'):
      self._import()

  def test_an_episode_that_is_too_large_is_left_out(self):
    arrays, (first, _, last) = buffer([5, 60, 6], num_padding=0)
    write(self._source, **arrays)
    with mock.patch.object(writer, 'MAX_EPISODE_BYTES', 2000):
      card, read = self._import()
    self._check(read, [first, last])
    self.assertEqual(card['left_out'], {'too large': 1})

  def test_an_episode_whose_last_image_is_too_much_is_left_out(self):
    arrays, (first, second, last) = buffer([5, 9, 6], num_padding=0)
    write(self._source, **arrays)
    sizes = [len(png.encode(image[..., None])) for image in second['observation']]
    # The last observation comes twice; only the second time it is too much.
    with mock.patch.object(writer, 'MAX_EPISODE_BYTES', sum(sizes)):
      card, read = self._import()
    self._check(read, [first, last])
    self.assertEqual(card['left_out'], {'too large': 1})

  @parameterized.parameters('observation', 'reward', 'add_count')
  def test_negative_sizes_are_refused(self, name):
    arrays, _ = buffer([8])
    write(self._source, **arrays, add_count=np.array(8))
    stem = f'{"" if name == "add_count" else "$store$_"}{name}_ckpt.0.gz'
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {'descr': '|u1', 'fortran_order': False, 'shape': (-1,)})
    pathlib.Path(self._source, stem).write_bytes(gzip.compress(file.getvalue() + bytes(9)))
    with self.assertRaisesRegex(ValueError, r'an array \[-1\]; expected sizes of at least 0'):
      self._import()

  @parameterized.parameters(0, -3)
  def test_a_buffer_that_counts_no_steps_is_a_problem(self, num_added):
    write(self._source, 0, **buffer([8], seed=1)[0], add_count=np.array(num_added))
    arrays, episodes = buffer([8, 9], seed=2)
    write(self._source, 1, **arrays)
    message = f'add_count_ckpt.0.gz counts {num_added} steps; expected at least 1'
    with self.assertRaisesRegex(ValueError, message):
      self._import()
    card, read = self._import(on_problem='skip')
    self.assertRegex(card['left_out_episodes'][0]['reason'], message)
    self._check(read, episodes)

  def test_counts_that_are_no_number_and_arrays_without_steps(self):
    arrays, _ = buffer([8])
    write(self._source, **arrays, add_count=np.array(np.inf))
    with self.assertRaisesRegex(ValueError, 'add_count_ckpt.0.gz is not a whole .gz of a number'):
      self._import()
    for count in ({}, {'add_count': np.array(5)}):
      write(self._source, **{name: values[:0] for name, values in arrays.items()}, **count)
      with self.assertRaisesRegex(ValueError, 'has no steps; expected at least 1'):
        self._import()

  def test_a_file_that_is_no_gz_and_one_that_is_no_array(self):
    arrays, _ = buffer([8])
    write(self._source, **arrays)
    path = pathlib.Path(self._source, '$store$_reward_ckpt.0.gz')
    for content in (b'no gz', gzip.compress(b'no array'), gzip.compress(_fewer_rows())):
      path.write_bytes(content)
      with self.assertRaisesRegex(ValueError, r'reward_ckpt.0.gz (is not a whole .gz|breaks off)'):
        self._import()

  def test_other_shapes_actions_and_rewards(self):
    arrays, _ = buffer([8])
    write(self._source, **arrays)
    with self.assertRaisesRegex(ValueError, r'has observations \[6, 5\]; expected .*\[7, 5, 1\]'):
      self._import(own_data.environment(shape=(7, 5, 1)))
    write(self._source, **arrays | {'action': arrays['action'] + 1})
    with self.assertRaisesRegex(ValueError, r'episode 0: action is 3 at step .*has \[0, 1, 2\]'):
      self._import()
    write(self._source, **arrays | {'reward': arrays['reward'] * np.nan})
    with self.assertRaisesRegex(ValueError, 'episode 0: reward is nan at step 0'):
      self._import()

  def test_nothing_there(self):
    with self.assertRaisesRegex(ValueError, r'source: has no files \$store\$_observation_ckpt'):
      self._import()


class _Bomb:
  """Must not be unpickled."""

  def __reduce__(self):
    return os.mkdir, ('unpickled',)


class _Tail:
  """The last episodes of `episodes.Episodes`."""

  def __init__(self, read, num_episodes):
    self.__dict__.update(read.__dict__)
    self.first_step = read.first_step[-num_episodes:]
    self.num_transitions = read.num_transitions[-num_episodes:]


def _fewer_rows():
  file = io.BytesIO()
  np.save(file, np.zeros(11, np.float32))
  return file.getvalue()[:-8]


if __name__ == '__main__':
  absltest.main()
