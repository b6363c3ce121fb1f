"""Lists of actions: what is taken, as it was meant, and what is refused, with file and line."""

import json
import pathlib
import random
import tempfile
import unicodedata

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data import environment_file, source_files
from alpt_jax.data.importers import actions as import_actions
from alpt_jax.data.importers import checks
from tests import exhaustive
from tests.data import own_data

NAMES = ('é 1.mp4', 'b.mp4', 'c.mp4')
NUM_TRANSITIONS = {'é 1.mp4': 12, 'b.mp4': 9, 'c.mp4': 15}
NFD = unicodedata.normalize('NFD', NAMES[0])


def recordings(lengths):
  """Recordings of videos {name: T}, without images."""
  return [checks.Recording(f'clips/{name}', [b''] * (length + 1), np.zeros(length, int),
                           np.zeros(length, bool), None, file=source_files.SourceFile(name))
          for name, length in lengths.items()]


class ListTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.environment = own_data.environment()

  def read(self, content, name='actions.csv'):
    content = content if isinstance(content, bytes) else content.encode()
    (self.directory / name).write_bytes(content)
    return import_actions.Actions(self.directory, self.environment)

  def refused(self, content, message, name='actions.csv'):
    with self.assertRaisesRegex(ValueError, f'/{name}, line {message}') as raised:
      self.read(content, name)
    self.assertNotIn('\n', str(raised.exception))


class FormTest(ListTest):

  @parameterized.parameters(
      # The copy breaks off.
      ('file,step,action\na,0,up\na,1', "3: has 2 fields, .*; expected 3"),
      ('file,step,action\na,0,up\na', '3: has 1 fields'),
      ('file,step,action\na\na,0,up\n', '2: has 1 fields'),
      ('file,step,action,reward\na,0,up,1\na,1,up\n', '3: has 3 fields'),
      ('', '1: is empty; expected file,step,action'),
      # Columns.
      ('a,0,up\n', r"1: columns are \['a', '0', 'up'\]"),
      ('file,step,action,action\na,0,up,jump\n', '1: columns are .*, each once'),
      ('file;step;action\na;0;up\n', '1: columns are .*Put commas between them'),
      ('file\tstep\taction\na\t0\tup\n', '1: columns are .*Put commas between them'),
      ('file,step,action\na,0,up,\n', '2: has 4 fields'),
      ('file,step,action\r\na,0,up\r\n,,\r\n', "3: step is ''"),
      # Quotes.
      ('file,step,action\n"a,0,up\na,1,up\n', '2: not a list with commas and whole quotes'),
      ('file,step,action\na,0,"up\na,1,"up\n', '2: not a list with commas and whole quotes'),
      ('file,step,action\na,0,"up\n"\na,1,up\n', '2: action goes over several lines'),
      ('file,step,action\na,0,up\n\n"a",1,"up\n', '4: not a list with commas'),
      # Bytes.
      ('file,step,action\na,0,up\n'.encode('utf-16'), '1: not a text file in UTF-8'),
      ('file,step,action\na,0,up\né,0,up\n'.encode('latin-1'), '3: not a text file in UTF-8'),
      # Numbers.
      ('file,step,action\na,0.0,up\n', "2: step is '0.0'"),
      ('file,step,action\na,1e3,up\n', "2: step is '1e3'"),
      ('file,step,action\na,1_0,up\n', "2: step is '1_0'"),
      ('file,step,action\na,+1,up\n', "2: step is '\\+1'"),
      (f'file,step,action\na,{"9" * 5000},up\n', '2: step is .9+ \\.\\.; expected an integer'),
      ('file,step,action\na,0,1.0\n', "2: action is '1.0'"),
      ('file,step,action\na,0,-1\n', "2: action is '-1'"),
      ('file,step,action\na,0,Up\n', "2: action is 'Up'"),
      ('file,step,action\na,0, up\n', "2: action is ' up'"),
      ('file,step,action\na,0,nan\n', "2: action is 'nan'"),
      ('file,step,action,reward\na,0,up,1_0\n', "2: reward is '1_0'"),
      ('file,step,action,reward\na,0,up,inf\n', "2: reward is 'inf'"),
      # Twice.
      ('file,step,action\na,0,up\na,1,up\na,0,up\n', '4: action of step 0 .*, after line 2'),
      (f'file,step,action\né,0,up\n{unicodedata.normalize("NFD", "é")},0,up\n',
       '3: action of step 0'),
  )
  def test_csv_that_is_refused(self, content, message):
    self.refused(content, message)

  @parameterized.parameters(
      ('{"file": "a", "step": 0, "action": 1}\n{"file": "a", "ste', '2: is .*expected a JSON obj'),
      ('[{"file": "a", "step": 0, "action": 1}]', '1: is .*expected a JSON object'),
      ('[["file", "a"]]', '1: is .*expected a JSON object'),
      ('[' * 100_000, '1: is .*expected a JSON object'),
      ('{}', '1: is .*expected a JSON object'),
      ('{"file": "a", "step": 0, "step": 1, "action": 1}', '1: columns are .*each once'),
      ('\n\n{"file": "a", "step": 0}', '3: columns are'),
      ('{"file": "a", "step": 1.0, "action": 1}', '1: step is 1.0'),
      ('{"file": "a", "step": true, "action": 1}', '1: step is True'),
      ('{"file": "a", "step": 0, "action": {"id": 1}}', '1: action is '),
      ('{"file": "a", "step": 0, "action": -1}', '1: action is -1'),
      ('{"file": "a", "step": 0, "action": 1, "reward": true}', '1: reward is True'),
      ('{"file": "a", "step": 0, "action": 1, "reward": NaN}', '1: reward is nan'),
  )
  def test_jsonl_that_is_refused(self, content, message):
    self.refused(content, message, 'actions.jsonl')

  @parameterized.parameters(
      'file,step,action\na,0,up\na,2,3\na,5,\n',
      '\ufefffile,step,action\na,0,up\na,2,3\na,5,\n',
      'file,step,action\r\na,0,up\r\na,2,3\r\na,5,\r\n',
      'file,step,action\ra,0,up\ra,2,3\ra,5,',
      '"file","step","action"\n"a","0","up"\n\n"a","2","jump"\n\n"a",5,""',
      'action,file,step\n,a,5\njump,a,2\n1,a, 0\n',
      'file,step,action\na,00,up\na,2,\na,5,\na,2,jump\n')
  def test_csv_as_it_was_meant(self, content):
    actions, is_labelled, _ = self.read(content).of('a', 6)
    self.assertEqual(actions.tolist(), [1, 0, 3, 0, 0, 0])
    self.assertEqual(is_labelled.tolist(), [True, False, True, False, False, False])

  def test_names_of_one_look_are_one_name(self):
    for listed, found in ((NAMES[0], NFD), (NFD, NAMES[0])):
      actions = self.read(f'file,step,action\n{listed},1,up\n')
      actions.check_files([found, 'b.mp4'])
      self.assertEqual(actions.of(found, 2)[1].tolist(), [False, True])

  def test_two_files_of_one_look_are_refused(self):
    actions = self.read(f'file,step,action\n{NFD},1,up\n')
    with self.assertRaisesRegex(ValueError, 'line 2: .* and 2 files beside it have names that dif'):
      actions.check_files([NFD, NAMES[0]])

  def test_unknown_names_come_with_the_nearest(self):
    actions = self.read('file,step,action\nB.mp4,1,up\n')
    with self.assertRaisesRegex(ValueError, "line 2: file is 'B.mp4' .*, e.g. 'b.mp4'"):
      actions.check_files(['a.mp4', 'b.mp4', 'c.mkv'])

  def test_numbers_that_are_names(self):
    self.environment = own_data.environment(
        actions=environment_file.Actions(space=('1', '2', '0')))
    self.assertEqual(self.read('file,step,action\na,0,1\n').known(), {('a', 0): {'action': 0}})
    (self.directory / 'actions.csv').unlink()
    self.refused('{"file": "a", "step": 0, "action": 1}',
                 "1: action is 1, the index of '2' and a name", 'actions.jsonl')


class StepsTest(ListTest):

  def listed(self, steps_of):
    return self.read('file,step,action\n' + ''.join(
        f'{name},{step},up\n' for name, steps in steps_of.items() for step in steps))

  @parameterized.parameters(
      (4, {'a': range(0, 56, 4)}, '2: steps are 0, 4, 8 .. 52, all multiples of frame_skip 4:'),
      (4, {'a': range(1, 57, 4)}, '2: steps are 1, 5, 9 .. 53, .* frame_skip 4, 1 more:'),
      (3, {'a': (9, 3, 0, 30, 6, 12, 300)}, '2: steps are 0, 3, 6 .. 300,'),
      (2, {'a': range(9), 'b': range(0, 40, 2)}, '11: steps are 0, 2, 4 '),
      (8, {'a': (0, 8), 'b': (0, 8, 16)}, '2: steps are 0, 8, 16 ..'),
      (4, {'a': (0, 1, 2, 3, 4)}, None),
      (4, {'a': (0, 4, 8, 9, 12, 16)}, None),
      (2, {'a': (0, 2, 4, 8)}, None),  # So few may be by chance.
      (1, {'a': range(0, 400, 4)}, None))
  def test_steps_that_count_the_frames_of_the_file(self, frame_skip, steps_of, message):
    actions = self.listed(steps_of)
    if message is None:
      actions.check_steps(frame_skip)
    else:
      with self.assertRaisesRegex(ValueError, f'/actions.csv, line {message}.*Divide them by'):
        actions.check_steps(frame_skip)

  @parameterized.parameters(
      ({'a': (20, range(1, 21))}, "line 2: step 0 of 'a' is not listed, but all others are, u"),
      # One file of many is enough.
      ({'a': (20, range(20)), 'b': (9, range(1, 10)), 'c': (20, range(3))},
       "line 22: step 0 of 'b' is not listed"),
      # Not all steps have an action.
      ({'a': (20, range(2, 21, 2)), 'b': (20, (3, 5, 20))}, '2 of 2 files list their last frame'),
      ({'a': (20, (1, 2, 3)), 'b': (9, (1, 2)), 'c': (15, (1, 9))}, '3 of 3 files begin with st'),
      ({'a': (20, range(20))}, None),
      ({'a': (20, range(21))}, None),  # The last frame, too: passed over.
      ({'a': (20, range(4, 12)), 'b': (20, range(1, 6))}, None),
      ({'a': (20, (1, 2, 3)), 'b': (9, (1, 2))}, None),
      ({'a': (20, (1, 2, 3)), 'b': (9, (1, 2)), 'c': (15, (0, 9))}, None),
      ({'a': (20, ()), 'b': (2, (1,))}, None))
  def test_steps_that_count_from_one(self, lists, message):
    actions = self.listed({name: steps for name, (_, steps) in lists.items()})
    found = recordings({name: length for name, (length, _) in lists.items()})
    if message is None:
      self.assertEqual(list(actions.check_first_steps(iter(found))), found)
    else:
      with self.assertRaisesRegex(ValueError, f'{message}.*counted from 1.*its action empty'):
        list(actions.check_first_steps(iter(found)))

  def test_a_list_that_counts_one_row_a_frame_from_one(self):
    with self.assertRaisesRegex(ValueError, 'line 22, lists step 21; .*seem to count from 1'):
      self.listed({'a': range(1, 22)}).of('a', 20)

  def test_a_line_without_an_action_says_that_steps_are_right(self):
    actions = self.read('file,step,action\na,0,\n' + ''.join(f'a,{t},up\n' for t in range(1, 10)))
    self.assertLen(list(actions.check_first_steps(recordings({'a': 9}))), 1)
    actions = self.read('file,step,action\na,1,\n' + ''.join(f'a,{t},up\n'
                                                            for t in range(0, 40, 4)))
    actions.check_steps(4)


def right_list(rng, space):
  """[(file, step, action)] of a list as it should be, in its order."""
  rows = []
  for name in NAMES:
    length = NUM_TRANSITIONS[name]
    first = rng.choice([0, 2]) if rows else 0
    rows += [(name, step, rng.choice(space)) for step in range(first, length)
             if step == first or rng.random() < .9]
  return rows


def text_of(rows, *, end='\n', comma=',', header=('file', 'step', 'action'), quote=False):
  cells = [header, *rows]
  wrapped = [[f'"{cell}"' if quote else str(cell) for cell in row] for row in cells]
  return end.join(comma.join(row) for row in wrapped) + end


def shuffled(rng, rows, space):
  rng.shuffle(rows)
  return text_of(rows), rows


def carriage_returns(rng, rows, space):
  return text_of(rows, end='\r\n'), rows


def byte_order_mark(rng, rows, space):
  return '\ufeff' + text_of(rows), rows


def quoted(rng, rows, space):
  return text_of(rows, quote=True), rows


def empty_lines(rng, rows, space):
  lines = text_of(rows).split('\n')
  for _ in range(3):
    lines.insert(rng.randrange(1, len(lines)), '')
  return '\n'.join(lines), rows


def no_last_line_end(rng, rows, space):
  return text_of(rows).rstrip('\n'), rows


def other_columns_order(rng, rows, space):
  return text_of([(a, f, s) for f, s, a in rows], header=('action', 'file', 'step')), rows


def indices(rng, rows, space):
  return text_of([(f, s, space.index(a)) for f, s, a in rows]), rows


def decomposed_names(rng, rows, space):
  return text_of([(unicodedata.normalize('NFD', f), s, a) for f, s, a in rows]), rows


def emptied_actions(rng, rows, space):
  some = [(f, s, a if rng.random() < .6 else '') for f, s, a in rows]
  return text_of(some), [row for row in some if row[2]]


def last_frames(rng, rows, space):
  more = [(name, NUM_TRANSITIONS[name], space[0]) for name in NAMES]
  return text_of(rows + more), rows


def leading_zeros(rng, rows, space):
  return text_of([(f, f' {s:04d}', a) for f, s, a in rows]), rows


def added_later(rng, rows, space):
  i = rng.randrange(len(rows))
  return text_of([*rows[:i], (*rows[i][:2], ''), *rows[i + 1:], rows[i]]), rows


def no_rows(rng, rows, space):
  return text_of([]), []


def missing_field(rng, rows, space):
  i = rng.randrange(len(rows))
  return text_of([*rows[:i], rows[i][:rng.choice([1, 2])], *rows[i + 1:]]), i + 2


def missing_comma(rng, rows, space):
  i = rng.randrange(len(rows))
  return text_of([*rows[:i], (f'{rows[i][0]}{rows[i][1]}', rows[i][2]), *rows[i + 1:]]), i + 2


def extra_field(rng, rows, space):
  i = rng.randrange(len(rows))
  return text_of([*rows[:i], (*rows[i], rng.choice(['', '1'])), *rows[i + 1:]]), i + 2


def extra_column(rng, rows, space):
  return text_of([(*row, 0) for row in rows], header=('file', 'step', 'action', 'time')), 1


def other_delimiter(rng, rows, space):
  return text_of(rows, comma=rng.choice([';', '\t', '|'])), 1


def no_header(rng, rows, space):
  return text_of(rows[1:], header=rows[0]), 1


def other_header(rng, rows, space):
  return text_of(rows, header=rng.choice([('File', 'Step', 'Action'), ('file', 'frame', 'action'),
                                          ('file', ' step', ' action')])), 1


def double_step(rng, rows, space):
  i, j = sorted(rng.sample(range(len(rows)), 2))
  return text_of([*rows[:j], rows[i], *rows[j:]]), j + 2


def changed_cell(column, values):
  def change(rng, rows, space):
    i = rng.randrange(len(rows))
    row = list(rows[i])
    row[column] = rng.choice(values)(row[column])
    return text_of([*rows[:i], row, *rows[i + 1:]]), i + 2
  return change


wrong_step = changed_cell(1, [lambda s: -s - 1, lambda s: f'{s}.0', lambda s: f'{s}.5',
                              lambda s: '', lambda s: f'step{s}', lambda s: '1e1'])
wrong_action = changed_cell(2, [str.upper, lambda a: a + ' ', lambda a: '0.0', lambda a: '-1',
                                lambda a: '99', lambda a: 'fly', lambda a: 'None'])
wrong_file = changed_cell(0, [str.upper, lambda f: './' + f, lambda f: f[:-4], lambda f: f + ' ',
                              lambda f: ''])
open_quote = changed_cell(0, [lambda f: '"' + f])
step_behind_the_end = changed_cell(1, [lambda s: 900])


def broken_off(rng, rows, space):
  text = text_of(rows)
  last = text.rstrip('\n').rindex('\n') + 1
  row = text[last:]
  return text[:last] + row[:rng.randrange(1, row.rindex(',') + 1)], len(rows) + 1


def from_one(rng, rows, space):
  rows = [(name, step, rng.choice(space)) for name in NAMES
          for step in range(NUM_TRANSITIONS[name])]
  return text_of([(f, s + 1, a) for f, s, a in rows]), 2


def of_the_file(rng, rows, space):
  rows = [(name, step, rng.choice(space)) for name in NAMES for step in range(3)]
  return text_of([(f, 4 * s, a) for f, s, a in rows]), 2


def other_encoding(rng, rows, space):
  return text_of(rows).encode(rng.choice(['utf-16', 'latin-1'])), None


ACCEPTED = (shuffled, carriage_returns, byte_order_mark, quoted, empty_lines, no_last_line_end,
            other_columns_order, indices, decomposed_names, emptied_actions, last_frames,
            leading_zeros, added_later, no_rows)
REFUSED = (missing_field, missing_comma, extra_field, extra_column, other_delimiter, no_header,
           other_header, double_step, wrong_step, wrong_action, wrong_file, open_quote,
           step_behind_the_end, broken_off, from_one, of_the_file, other_encoding)
NUM_LISTS = 310


class RandomListsTest(ListTest):

  def setUp(self):
    super().setUp()
    self.environment = own_data.environment(actions=environment_file.Actions(
        space=('noop', 'up', 'down', 'jump')))

  def imported(self):
    """{(file, step): action} of an import's way with the list, frame_skip 4."""
    actions = import_actions.Actions(self.directory, self.environment)
    actions.check_files(NAMES)
    actions.check_steps(4)
    found = {}
    for item in actions.check_first_steps(recordings(NUM_TRANSITIONS)):
      ids, is_labelled, _ = actions.of(item.file.name, len(item.observations) - 1)
      found |= {(item.file.name, int(t)): self.environment.actions.space[ids[t]]
                for t in np.flatnonzero(is_labelled)}
    return found

  def test_each_is_taken_as_it_was_meant_or_refused_with_its_line(self):
    space = self.environment.actions.space
    seeds = exhaustive.some_of(range(NUM_LISTS), at_least=len(ACCEPTED + REFUSED))
    for turn, seed in enumerate(seeds):
      change = (ACCEPTED + REFUSED)[turn % len(ACCEPTED + REFUSED)]
      rng = random.Random(seed)
      rows = right_list(rng, space)
      with self.subTest(change=getattr(change, '__name__', ''), seed=seed):
        content, expected = change(rng, rows, space)
        as_bytes = content if isinstance(content, bytes) else content.encode()
        (self.directory / 'actions.csv').write_bytes(as_bytes)
        if change in ACCEPTED:
          self.assertEqual(self.imported(), {(f, s): a for f, s, a in expected})
        else:
          line = r'\d+' if expected is None else expected
          with self.assertRaisesRegex(ValueError, rf'/actions\.csv, line {line}\b'):
            self.imported()

  def test_the_same_list_as_json(self):
    rng = random.Random(0)
    rows = right_list(rng, self.environment.actions.space)
    (self.directory / 'actions.jsonl').write_text('\n'.join(
        json.dumps(dict(zip(('file', 'step', 'action'), row, strict=True))) for row in rows))
    self.assertEqual(self.imported(), {(f, s): a for f, s, a in rows})


if __name__ == '__main__':
  absltest.main()
