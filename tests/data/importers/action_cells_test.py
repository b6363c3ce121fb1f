"""Lists of actions of several parts: taken as they were meant, or refused with file and line."""

import dataclasses
import json
import unicodedata

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts
from alpt_jax.data import environment_file
from alpt_jax.data.importers import actions as import_actions
from tests import exhaustive, random_spaces
from tests.data import own_data
from tests.data.importers import actions_test

PARTS = (action_parts.Binary('forward'),
         action_parts.Continuous('turn', -90., 90., unit='degrees'),
         action_parts.Categorical('weapon', ('fist', 'saw', '7'), legal=('fist', '7')))
HEADER = 'file,step,forward,turn,weapon\n'


class PartsListTest(actions_test.ListTest):

  def setUp(self):
    super().setUp()
    self.environment = own_data.environment(actions=environment_file.ActionParts(parts=PARTS))

  def of(self, content, length, name='actions.csv'):
    """{part: [value or None]} of file a."""
    actions, is_known, _ = self.read(content, name).of('a', length)
    return {part: [x.item() if known else None
                   for x, known in zip(values, is_known[part], strict=True)]
            for part, values in actions.items()}


class FormTest(PartsListTest):

  @parameterized.parameters(
      (HEADER + 'a,0,1,-2.5,7\na,2,,90,fist\na,1,0,,\n', 'actions.csv'),
      ('weapon,turn,step,file,forward\n7,-2.5,0,a,True\n,,1,a,false\n0,9e1,2,a,\n', 'actions.csv'),
      (HEADER + 'a,0,1,,\na,2,,90.0,0\na,0,,-2.5,7\na,1,0.0,,\n', 'actions.csv'),
      ('{"file": "a", "step": 0, "forward": true, "turn": -2.5, "weapon": "7"}\n'
       '{"file": "a", "step": 1, "forward": 0, "turn": null, "weapon": null}\n'
       '{"file": "a", "step": 2, "forward": null, "turn": 90, "weapon": 0}\n', 'actions.jsonl'))
  def test_as_it_was_meant(self, content, name):
    self.assertEqual(self.of(content, 4, name), {
        'forward': [True, False, None, None], 'turn': [-2.5, None, 90., None],
        'weapon': [2, None, 0, None]})

  @parameterized.parameters(
      ('file,step,forward,turn\na,0,1,2\n', r"1: columns are \['file', 'step', 'forward', 'turn'\]"
                                            r"; expected \['file', 'step', 'forward', 'turn', 'w"),
      ('file,step,action\na,0,1\n', r"1: columns are \['file', 'step', 'action'\]; expected"),
      ('file,step,forward,turn,weapon,jump\na,0,1,2,7,1\n', '1: columns are .*jump'),
      ('file,step,forward,turn,weapon,turn\na,0,1,2,7,1\n', '1: columns are .*, each once'),
      ('file,step,Forward,turn,weapon\na,0,1,2,7\n', '1: columns are .*Forward'),
      ('', '1: is empty; expected file,step,forward,turn,weapon in the first line'),
      (HEADER + 'a,0,1,2\n', '2: has 4 fields'),
      (HEADER + 'a,0,1,1,5,7\n', '2: has 6 fields'),  # A comma for a point.
      (HEADER + 'a,0,2,,\n', "2: forward is '2'; expected 0 or 1, false or true, or nothing"),
      (HEADER + 'a,0,0.5,,\n', "2: forward is '0.5'; expected 0 or 1"),
      (HEADER + 'a,0,yes,,\n', "2: forward is 'yes'; expected 0 or 1"),
      (HEADER + 'a,0,nan,,\n', "2: forward is 'nan'; expected 0 or 1"),
      (HEADER + 'a,0,,90.5,\n', r"2: turn is '90.5'; expected a number in \[-90.0, 90.0\] degrees"),
      (HEADER + 'a,0,,nan,\n', "2: turn is 'nan'; expected a number"),
      (HEADER + 'a,0,,-inf,\n', "2: turn is '-inf'; expected a number"),
      (HEADER + 'a,0,,1_0,\n', "2: turn is '1_0'; expected a number"),
      (HEADER + 'a,0,,left,\n', "2: turn is 'left'; expected a number"),
      (HEADER + 'a,0,,,saw\n', r"2: weapon is 'saw'; expected one of actions.parts.weapon.legal, "
                               r"\['fist', '7'\], or an index"),
      (HEADER + 'a,0,,,1\n', "2: weapon is '1'; expected one of"),
      (HEADER + 'a,0,,,9\n', "2: weapon is '9'; expected one of"),
      (HEADER + 'a,0,,,2.0\n', "2: weapon is '2.0'; expected one of"),
      (HEADER + 'a,0,1,,\na,0,,2,\na,0,1,,\n', "4: forward of step 0 of 'a' is listed a second"))
  def test_csv_that_is_refused(self, content, message):
    self.refused(content, message)

  @parameterized.parameters(
      (dict(forward=1, turn=0), "columns are .'file', 'step', 'forward', 'turn'.; expected"),
      (dict(forward=1, turn=0, weapon=None, jump=1), 'columns are .*jump'),
      (dict(forward='2', turn=0, weapon=0), "forward is '2'"),
      (dict(forward=[1], turn=0, weapon=0), r'forward is \[1\]; expected 0 or 1'),
      (dict(forward=1, turn=True, weapon=0), 'turn is True; expected a number'),
      (dict(forward=1, turn=float('nan'), weapon=0), 'turn is nan; expected a number'),
      (dict(forward=1, turn={'x': 1}, weapon=0), 'turn is .*x.*; expected a number'),
      (dict(forward=1, turn=-91, weapon=0), 'turn is -91; expected a number in'),
      (dict(forward=1, turn=0, weapon=1.), 'weapon is 1.0; expected one of'),
      (dict(forward=1, turn=0, weapon=True), 'weapon is True; expected one of'))
  def test_jsonl_that_is_refused(self, row, message):
    first = dict(file='a', step=0, forward=None, turn=None, weapon=None)
    content = '\n'.join(map(json.dumps, (first, dict(file='a', step=1) | row)))
    self.refused(content, f'2: {message}', 'actions.jsonl')

  def test_parts_of_one_key_in_an_object(self):
    self.refused('{"file": "a", "step": 0, "turn": 1, "turn": 2, "forward": 1, "weapon": 0}',
                 '1: columns are .*, each once', 'actions.jsonl')

  def test_one_action_has_no_columns_of_parts(self):
    self.environment = own_data.environment()
    self.refused(HEADER, r"1: columns are .*; expected \['file', 'step', 'action', 'reward'\]")

  def test_keys_of_the_data_and_columns_that_are_left_out(self):
    self.environment = own_data.environment(actions=environment_file.ActionParts(
        parts=PARTS, keys=('W', unicodedata.normalize('NFD', 'é'), 'weapon'), left_out=('time',)))
    found = self.of('time,file,W,é,weapon,step\n0.5,a,1,2,fist,0\n', 1)
    self.assertEqual(found, {'forward': [True], 'turn': [2.], 'weapon': [0]})
    found = self.of('file,W,é,weapon,step\na,0,2,fist,0\n', 1)
    self.assertEqual(found, {'forward': [False], 'turn': [2.], 'weapon': [0]})
    self.refused('file,step,forward,turn,weapon\n', r"1: columns are .*'W'")

  def test_rewards_beside_parts(self):
    self.environment = dataclasses.replace(
        self.environment, reward=environment_file.Reward(), returns=(0, 9))
    read = self.read('file,step,forward,turn,weapon,reward\na,0,1,,,2.5\n')
    actions, _, rewards = read.of('a', 1)
    self.assertEqual((actions['forward'].tolist(), rewards.tolist()), ([True], [2.5]))


  def test_ranges_are_those_of_float32(self):
    self.environment = own_data.environment(actions=environment_file.ActionParts(
        parts=(action_parts.Continuous('x', 0., .1),)))
    high = float(np.float32(.1))  # A little more than .1.
    self.assertEqual(self.of(f'file,step,x\na,0,{high!r}\na,1,.1\n', 2), {'x': [high, high]})
    self.refused('file,step,x\na,0,.1000001\n', r"2: x is '.1000001'; expected a number in \[0.0")


class AgreementTest(PartsListTest):

  def test_two_people_agree_on_what_both_know(self):
    # Bins of turn are 180 / 41 degrees wide.
    self.read(HEADER + 'a,0,1,2,7\na,1,1,0,\na,2,0,,\na,3,1,,\n')
    self.read(HEADER + 'a,0,1,1.5,\na,1,1,9,7\na,2,,1,\na,3,0,,\n', 'actions-2.csv')
    found = import_actions.agreement(self.directory, self.environment)
    # Step 0 yes, step 1 no (turn), step 2 nothing in common, step 3 no.
    self.assertEqual((found['value'], found['num_transitions']), (1 / 3, 3))


NAMES = actions_test.NAMES
LENGTHS = actions_test.NUM_TRANSITIONS


def right_list(rng, space):
  """[(file, step, {part: cell})] of a list as it should be; some cells are empty."""
  rows = []
  for name in NAMES:
    first = int(rng.choice([0, 2])) if rows else 0
    for step in range(first, LENGTHS[name]):
      if step == first or rng.random() < .9:
        rows.append((name, step, {part.name: cell(rng, part) for part in space.parts}))
  return rows


def cell(rng, part):
  value, = random_spaces.values(rng, part, 3)[2:]
  if rng.random() < .2:
    return ''
  return part.names[value] if part.kind == 'categorical' else repr(value.item())


def meaning(rows, space):
  """{(file, step, part): value} of what is said in rows."""
  found = {}
  for name, step, cells in rows:
    for part in space.parts:
      text = cells[part.name]
      if text != '' and step < LENGTHS[name]:
        found[name, step, part.name] = (part.names.index(text) if part.kind == 'categorical' else
                                        np.float32(text))
  return found


def text_of(rows, space, **settings):
  names = space.part_names
  return actions_test.text_of([(f, s, *(c[n] for n in names)) for f, s, c in rows],
                              header=('file', 'step', *names), **settings)


def changed(rows, i, part, value):
  """The rows with another cell."""
  return [*rows[:i], (*rows[i][:2], rows[i][2] | {part: value}), *rows[i + 1:]]


def one_of(rng, rows, space, kind):
  """A row and a part of a kind that has a value there; None if there is none."""
  places = [(i, part) for i, (_, _, cells) in enumerate(rows) for part in space.parts
            if part.kind == kind and cells[part.name] != '']
  return places[rng.integers(len(places))] if places else None


# What is taken: (rng, rows, space) -> content of the list, rows that it means.


def as_it_is(rng, rows, space):
  return text_of(rows, space), rows


def shuffled(rng, rows, space):
  rows = [rows[i] for i in rng.permutation(len(rows))]
  return text_of(rows, space), rows


def carriage_returns(rng, rows, space):
  return text_of(rows, space, end='\r\n'), rows


def byte_order_mark(rng, rows, space):
  return '\ufeff' + text_of(rows, space), rows


def quoted(rng, rows, space):
  return text_of(rows, space, quote=True), rows


def empty_lines(rng, rows, space):
  lines = text_of(rows, space).split('\n')
  lines.insert(int(rng.integers(1, len(lines))), '')
  return '\n'.join(lines), rows


def no_last_line_end(rng, rows, space):
  return text_of(rows, space)[:-1], rows


def other_columns_order(rng, rows, space):
  names = [*rng.permutation(['file', 'step', *space.part_names])]
  return actions_test.text_of([[{'file': f, 'step': s, **c}[n] for n in names]
                               for f, s, c in rows], header=names), rows


def indices(rng, rows, space):
  ids = {part.name: part.names.index for part in space.parts if part.kind == 'categorical'}
  return text_of([(f, s, {n: ids[n](x) if n in ids and x else x for n, x in c.items()})
                  for f, s, c in rows], space), rows


def other_words(rng, rows, space):
  """Bits in words, numbers in another notation."""
  def said(part, text):
    if text == '' or part.kind == 'categorical':
      return text
    if part.kind == 'continuous':
      return [f'{float(text):+.17e}', f' {text}'][rng.integers(2)]
    return [['false', 'False', '0.0'], ['true', 'TRUE', '1.0']][int(text)][rng.integers(3)]
  return text_of([(f, s, {part.name: said(part, c[part.name]) for part in space.parts})
                  for f, s, c in rows], space), rows


def decomposed_names(rng, rows, space):
  return text_of([(unicodedata.normalize('NFD', f), s, c) for f, s, c in rows], space), rows


def emptied(rng, rows, space):
  rows = [(f, s, {n: x if rng.random() < .5 else '' for n, x in c.items()}) for f, s, c in rows]
  return text_of(rows, space), rows


def last_frames(rng, rows, space):
  more = [(name, LENGTHS[name], rows[0][2]) for name in NAMES]
  return text_of(rows + more, space), rows


def leading_zeros(rng, rows, space):
  return text_of([(f, f' {s:04d}', c) for f, s, c in rows], space), rows


def in_two_lines(rng, rows, space):
  """Some parts of a step are listed at the end."""
  late = set(rng.permutation(space.part_names)[:len(space.parts) // 2 + 1])
  split = [[(f, s, {n: x if (n in late) == is_late else '' for n, x in c.items()})
            for f, s, c in rows] for is_late in (False, True)]
  return text_of(split[0] + split[1], space), rows


def no_rows(rng, rows, space):
  return text_of([], space), []


# What is refused: -> content, the line that is named; None where that is not one; or nothing, if
# the space has no such part.


def missing_field(rng, rows, space):
  lines = text_of(rows, space).split('\n')
  i = int(rng.integers(1, len(lines) - 1))
  lines[i] = lines[i].rpartition(',')[0]
  return '\n'.join(lines), i + 1


def extra_field(rng, rows, space):
  lines = text_of(rows, space).split('\n')
  i = int(rng.integers(1, len(lines) - 1))
  lines[i] += ','
  return '\n'.join(lines), i + 1


def other_columns(change):
  def refused(rng, rows, space):
    lines = text_of(rows, space).split('\n')
    cells = [change(line.split(','), i == 0) for i, line in enumerate(lines[:-1])]
    return '\n'.join(map(','.join, cells)) + '\n', 1
  return refused


missing_column = other_columns(lambda cells, is_header: cells[:-1])
unknown_column = other_columns(lambda cells, is_header: [*cells, 'jump' if is_header else '0'])
double_column = other_columns(lambda cells, is_header: [*cells, cells[-1]])
upper_case = other_columns(lambda cells, is_header: [
    *cells[:-1], cells[-1].upper() if is_header else cells[-1]])
of_one_action = other_columns(lambda cells, is_header: [
    *cells[:2], 'action' if is_header else cells[2]])


def other_delimiter(rng, rows, space):
  return text_of(rows, space, comma=[';', '\t', '|'][rng.integers(3)]), 1


def no_header(rng, rows, space):
  return text_of(rows, space).partition('\n')[2], 1


def listed_twice(rng, rows, space):
  kind = rng.permutation(['binary', 'categorical', 'continuous'])
  place = next(filter(None, (one_of(rng, rows, space, k) for k in kind)))
  return text_of([*rows, rows[place[0]]], space), len(rows) + 2


def wrong_cell(kind, values):
  def refused(rng, rows, space):
    place = one_of(rng, rows, space, kind)
    if place is None:
      return None
    i, part = place
    value = values[rng.integers(len(values))]
    value = value(part) if callable(value) else value
    return text_of(changed(rows, i, part.name, value), space), i + 2
  return refused


wrong_choice = wrong_cell('categorical', [
    'fly', '99', '-1', '0.0', 'V0', ' v0', 'nan', lambda part: next(
        (name for name in part.names if name not in part.legal), 'none')])
wrong_bit = wrong_cell('binary', ['2', '-1', '0.5', 'yes', 'up', 'nan', 'none', '0b1', '1_0'])
wrong_number = wrong_cell('continuous', [
    'x', 'nan', 'inf', '-Infinity', '1_0', '0x1', '--1', lambda part: repr(part.high + .01),
    lambda part: repr(part.low - .01), lambda part: f'{part.high}deg', '1e999'])


def wrong_step(rng, rows, space):
  i = int(rng.integers(len(rows)))
  step = ['-1', '1.5', '', 'first', '1e1', str(LENGTHS[rows[i][0]] + 9)][rng.integers(6)]
  return text_of([*rows[:i], (rows[i][0], step, rows[i][2]), *rows[i + 1:]], space), i + 2


def wrong_file(rng, rows, space):
  i = int(rng.integers(len(rows)))
  name = ['', 'd.mp4', './' + rows[i][0], rows[i][0] + ' '][rng.integers(4)]
  return text_of([*rows[:i], (name, *rows[i][1:]), *rows[i + 1:]], space), i + 2


def open_quote(rng, rows, space):
  i = int(rng.integers(len(rows)))
  return text_of([*rows[:i], ('"' + rows[i][0], *rows[i][1:]), *rows[i + 1:]], space), i + 2


def broken_off(rng, rows, space):
  text = text_of(rows, space)[:-1]
  return text[:text.rindex(',')], len(rows) + 1


def from_one(rng, rows, space):
  cells = rows[0][2]
  return text_of([(name, step + 1, cells) for name in NAMES for step in range(LENGTHS[name])],
                 space), 2


def other_encoding(rng, rows, space):
  return text_of(rows, space).encode(['utf-16', 'latin-1'][rng.integers(2)]), None


ACCEPTED = (as_it_is, shuffled, carriage_returns, byte_order_mark, quoted, empty_lines,
            no_last_line_end, other_columns_order, indices, other_words, decomposed_names, emptied,
            last_frames, leading_zeros, in_two_lines, no_rows)
REFUSED = (missing_field, extra_field, missing_column, unknown_column, double_column, upper_case,
           of_one_action, other_delimiter, no_header, listed_twice, wrong_choice, wrong_bit,
           wrong_number, wrong_step, wrong_file, open_quote, broken_off, from_one, other_encoding)
NUM_LISTS = 300


class RandomListsTest(PartsListTest):

  def imported(self):
    """{(file, step, part): value} of an import's way with the list, frame_skip 4."""
    actions = import_actions.Actions(self.directory, self.environment)
    actions.check_files(NAMES)
    actions.check_steps(4)
    found = {}
    for item in actions.check_first_steps(actions_test.recordings(LENGTHS)):
      name = item.file.name
      values, is_known, _ = actions.of(name, len(item.observations) - 1)
      for part, array in values.items():
        self.assertFalse(array[~is_known[part]].any())
        found |= {(name, int(t), part): array[t] for t in np.flatnonzero(is_known[part])}
    return found

  def test_each_is_taken_as_it_was_meant_or_refused_with_its_line(self):
    everything = ACCEPTED + REFUSED
    seeds = exhaustive.some_of(range(NUM_LISTS), at_least=len(everything))
    num_made = 0
    for turn, seed in enumerate(seeds):
      change = everything[turn % len(everything)]
      rng = np.random.default_rng(seed)
      space = random_spaces.space(rng)
      self.environment = own_data.environment(
          actions=environment_file.ActionParts(parts=space.parts))
      made = change(rng, right_list(rng, space), space)
      if made is None:  # The space has no part of that kind.
        continue
      num_made += 1
      content, expected = made
      with self.subTest(change=getattr(change, '__name__', ''), seed=seed):
        content = content if isinstance(content, bytes) else content.encode()
        (self.directory / 'actions.csv').write_bytes(content)
        if change in ACCEPTED:
          self.assertEqual(self.imported(), meaning(expected, space))
        else:
          line = r'\d+' if expected is None else expected
          with self.assertRaisesRegex(ValueError, rf'/actions\.csv, line {line}\b'):
            self.imported()
    self.assertGreater(num_made, .9 * len(seeds))

  def test_the_same_list_as_json(self):
    for seed in range(5):
      rng = np.random.default_rng(seed)
      space = random_spaces.space(rng)
      self.environment = own_data.environment(
          actions=environment_file.ActionParts(parts=space.parts))
      rows = right_list(rng, space)
      values = {part.name: str if part.kind == 'categorical' else float for part in space.parts}
      (self.directory / 'actions.jsonl').write_text('\n'.join(json.dumps(
          {'file': f, 'step': s} | {n: values[n](x) if x else None for n, x in c.items()})
          for f, s, c in rows))
      self.assertEqual(self.imported(), meaning(rows, space))


if __name__ == '__main__':
  absltest.main()
