"""The way from videos to an agent in experiments/OWN_DATA.md, every command at a tiny size.

Without TensorFlow, which nobody needs for it.
"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import jax
from absl.testing import absltest

from alpt_jax.data import rlds
from tests import processes

ROOT = pathlib.Path(__file__).resolve().parents[1]
_SECTION = '# Your own data: from videos to an agent'
# What makes a command tiny: a part of it, and what is added to those that have it.
_TINY = {
    'experiments.film': ['--num_videos=2', '--seconds=4', '--num_labelled=3',
                         '--labelled_seconds=3'],
    '--config.num_steps=800': ['--config.num_steps=4'],
    '--config.num_steps=1500': ['--config.num_steps=4'],
    'experiments.label': ['--episodes_per_file=2'],
}


def commands():
  """The commands of the section's first block of code, as lists of words."""
  text = (ROOT / 'experiments' / 'OWN_DATA.md').read_text()
  block = re.search(r'```sh\n(.*?)```', text[text.index(_SECTION):], re.DOTALL)[1]
  lines = re.sub(r'\\\n', ' ', block).splitlines()
  return [shlex.split(line, comments=True) for line in lines if not line.startswith('#')]


class TutorialTest(absltest.TestCase):

  def test_every_command(self):
    used = set()
    with tempfile.TemporaryDirectory() as directory:
      for words in commands():
        self.assertEqual(words[:2], ['python', '-m'])
        more = [word for part, added in _TINY.items() if part in words for word in added]
        used |= {part for part in _TINY if part in words}
        words = [word.replace('runs/own', f'{directory}/own').replace(':desk', ':tiny')
                 for word in words[1:]]
        if words[1] in ('experiments.collect', 'experiments.train'):
          more += [f'--config.data_dir={directory}/own/data',
                   f'--config.compilation_cache_dir={jax.config.jax_compilation_cache_dir}']
        done = subprocess.run([sys.executable, *words, *more], cwd=ROOT, capture_output=True,
                              text=True, check=False,
                              env=processes.environment_without('tensorflow', 'envlogger'))
        self.assertEqual(done.returncode, 0, msg=f'{words}: {done.stderr}')
      own = pathlib.Path(directory, 'own')
      card = rlds.read_card(own / 'data' / 'Labelled')
      self.assertGreater(card['labels']['num_true'], 0)
      self.assertGreater(card['labels']['num_idm'], 0)
      self.assertIn('held-out', json.loads(
          (own / 'idm' / 'audit' / 'audit.json').read_text())['headlines'][0])
      found = json.loads((own / 'idm' / 'clips' / 'clips.json').read_text())['clips']
      self.assertLen(found, 20)
      lines = (own / 'idm' / 'clips' / 'actions.csv').read_text().splitlines()
      self.assertEqual(lines[1], f"{found[0]['file']},{found[0]['first_step']},")
      self.assertTrue(all(clip['file'].endswith('.mp4') for clip in found))
      final = json.loads((own / 'agent' / 'eval' / 'final.json').read_text())
      self.assertGreaterEqual(final['sampled']['score'], 0)
      self.assertGreater(os.path.getsize(own / 'agent.gif'), 100)
      self._check_python(own)
    self.assertEqual(used, set(_TINY))

  def _check_python(self, own):
    """Runs the Python block of README.md with what the commands have made."""
    block, = re.findall(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)
    names = {}
    exec(block.replace('runs/own', str(own)), names)  # pylint: disable=exec-used
    self.assertEqual(names['frames'].shape[1:], (84, 84, 1))
    self.assertEqual(names['probabilities'].shape, (len(names['frames']) - 1, 18))
    self.assertLessEqual(set(names['actions']), {'NOOP', 'FIRE', 'RIGHT', 'LEFT'})


if __name__ == '__main__':
  absltest.main()
