"""Every command that a page shows is one that its program takes: modules, flags, configs and keys.

Those of experiments/OWN_DATA.md also run, at a tiny size: tutorial_test.py.
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

from absl.testing import absltest

from tests import readmes_test

ROOT = readmes_test.ROOT
_BLOCK = re.compile(r'^ *```sh\n(.*?)^ *```', re.S | re.M)
_INLINE = re.compile(r'`(python -m [^`]+)`')
_PLACEHOLDERS = {'<study>': 'labels', '<TFDS data_dir>': 'data'}
# Parses each command of a JSON list in a process of its own, all but the program's work; prints
# {index: what went wrong}. They are forked, as importing takes longer than parsing.
_PARSE = '''
import json, os, runpy, sys
import flax.linen, jax, matplotlib.figure, optax, scipy.stats
from alpt_jax import cli, domains, methods
from alpt_jax.training import run_config

wrong = {}
for i, words in enumerate(json.load(open(sys.argv[1]))):
  reader, writer = os.pipe()
  pid = os.fork()
  if not pid:
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    cli._run_main = lambda main: 0
    if words[0].startswith('launch.'):
      from launch import command_line
      command_line.run = lambda main, run=command_line.run: run(lambda line: 0)
    sys.argv = words
    code = 1
    try:
      runpy.run_module(words[0], run_name='__main__', alter_sys=True)
    except SystemExit as end:
      code = end.code or 0
    except BaseException as error:
      print(type(error).__name__, error)
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 1)
  os.close(writer)
  with os.fdopen(reader) as output:
    said = output.read()
  if os.waitpid(pid, 0)[1]:
    wrong[i] = said[-500:]
print(json.dumps(wrong))
'''


def commands(text):
  """Lists the commands of a page as words after `python -m`, with the variables of their blocks."""
  variables = {}
  found = [shlex.split(' '.join(line.split()), comments=True) for line in _INLINE.findall(text)]
  for block in _BLOCK.findall(text):
    for line in re.sub(r'\\\n', ' ', block).splitlines():
      for name, value in _PLACEHOLDERS.items():
        line = line.replace(name, value)
      for name, value in variables.items():
        line = re.sub(rf'\${name}\b', value, line)
      line = line.replace('$figure', '2').strip().removeprefix('(').removesuffix(')')
      line = re.sub(r'^(cd \S+|do|set -e) *(&&|;)? *', '', line)
      if match := re.match(r'(\w+)=(\S+|".*?"|\'.*?\') *(#.*)?$', line):
        variables[match[1]] = ' '.join(shlex.split(match[2]))
      elif line.startswith('python -m '):
        found.append(shlex.split(line, comments=True))
  found = [words[2:] for words in found if words[2].split('.')[0] in ('experiments', 'launch')]
  trained = [words[words.index('--') + 1:] for words in found if '--' in words]
  return found + [['experiments.train', *words] for words in trained
                  if words and words[0].startswith('--config=')]


def refused(found):
  """Lists (command, what its program says) of those that it does not take."""
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory, 'commands.json')
    path.write_text(json.dumps(found))
    done = subprocess.run([sys.executable, '-c', _PARSE, str(path)], cwd=ROOT, text=True,
                          capture_output=True, check=True)
  return [(' '.join(found[int(i)]), said) for i, said in json.loads(done.stdout).items()]


class CommandsTest(absltest.TestCase):

  def test_every_command_is_taken_by_its_program(self):
    found = {tuple(words): str(path.relative_to(ROOT)) for path in readmes_test.pages()
             for words in commands(path.read_text(encoding='utf-8'))}
    self.assertGreater(len(found), 60)
    self.assertEqual(refused(list(found)), [])

  def test_what_is_refused(self):
    found = commands(
        '`python -m experiments.audit --ran=x`\n'
        '```sh\nCONFIG=experiments/configs/maze.py:desk  # So.\n'
        'python -m experiments.train --config=$CONFIG \\\n    --config.metod=alpt\n'
        'python -m experiments.train --config=$CONFIG\n```\n')
    self.assertLen(found, 3)
    (one, said), (two, also) = refused(found)
    self.assertEqual((one, two), (
        'experiments.audit --ran=x',
        'experiments.train --config=experiments/configs/maze.py:desk --config.metod=alpt'))
    self.assertIn('ran', said)
    self.assertIn('method', also)  # The nearest key.


if __name__ == '__main__':
  absltest.main()
