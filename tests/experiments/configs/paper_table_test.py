"""experiments/PAPER.md says what the `paper` presets are: its tables against the configs."""

import ast
import operator
import pathlib
import re

from absl.testing import absltest, parameterized

from alpt_jax import configs
from experiments.configs import atari, maze

_ROOT = pathlib.Path(__file__).parents[3]
_GET_CONFIG = {'atari': atari.get_config, 'maze': maze.get_config}
# Where things lie, and how often a run logs, scores and saves.
_NOT_LISTED = {'preset', 'workdir', 'data_dir', 'collect.origin', 'log_every_steps',
               'eval_every_steps', 'checkpoint_every_steps'}


def tables():
  """{(name of the config, argument): {key: value}}, as the page lists them."""
  result = {}
  for line in (_ROOT / 'experiments' / 'PAPER.md').read_text().splitlines():
    if found := re.fullmatch(r'Config: `experiments/configs/(\w+)\.py:(\S+)`', line):
      rows = result[found[1], found[2]] = {}
    elif found := re.match(r'\| `([\w.]+)` \|', line):
      cells = [cell.strip() for cell in line.strip('|').split('|')]
      assert len(cells) == 5, line
      assert found[1] not in rows, line
      rows[found[1]] = ast.literal_eval(cells[3].strip('`'))
  return result


ALL = tables()


class PaperTableTest(parameterized.TestCase):

  def test_every_preset_has_a_table(self):
    self.assertEqual(list(ALL), [
        ('atari', 'paper,phase=pretrain'), ('atari', 'paper,phase=finetune'), ('maze', 'paper'),
        ('atari', 'paper,phase=finetune,method=cql')])

  @parameterized.parameters(*ALL)
  def test_values_are_those_of_the_config(self, name, argument):
    config = _GET_CONFIG[name](argument)
    self.assertGreater(len(ALL[name, argument]), 5)
    for key, value in ALL[name, argument].items():
      self.assertEqual(operator.attrgetter(key)(config), value, msg=key)

  @parameterized.parameters(*ALL)
  def test_what_differs_from_desk_is_listed(self, name, argument):
    listed = set(ALL[name, argument]) | _NOT_LISTED
    if name == 'atari':  # "As pretraining, but for"; CQL trains neither IDM nor DT.
      listed |= set(ALL['atari', 'paper,phase=pretrain'])
    paper, desk = (configs.flatten(_GET_CONFIG[name](x).to_dict())
                   for x in (argument, argument.replace('paper', 'desk')))
    changed = {key for key, value in paper.items()
               if not key.startswith('study.') and value != desk[key]}
    self.assertEmpty(changed - listed)

  def test_finetuning_is_as_pretraining_but_for_its_own_table(self):
    finetuning = atari.get_config('paper,phase=finetune')
    for key, value in ALL['atari', 'paper,phase=pretrain'].items():
      if key not in ALL['atari', 'paper,phase=finetune']:
        self.assertEqual(operator.attrgetter(key)(finetuning), value, msg=key)


if __name__ == '__main__':
  absltest.main()
