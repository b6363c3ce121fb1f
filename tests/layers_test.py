"""Imports point down one list of folders; domains and heavy packages stand behind their doors.

Lists of exceptions may only shrink: an entry that no longer holds fails, too.
"""

import ast
import collections
import functools
import pathlib

from absl.testing import absltest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What the files of a folder may import beside each other. 'ground': files of alpt_jax/ itself,
# of alpt_jax/files and alpt_jax/process.
ALLOWED = {
    'ground': '',
    'measures': '',
    'reports': 'ground measures',
    'networks': 'ground',
    'data': 'ground measures',
    'learners': 'ground measures networks',
    'domains': 'ground measures reports networks data learners',
    'training': 'ground measures networks data learners domains',
    'labelling': 'ground measures reports networks data learners domains training',
    'launch': 'ground networks learners training',
    'experiments': ('ground measures reports networks data learners domains training labelling '
                    'launch'),
}
# {(file, imported module): until when}.
UPWARD = {
}

# Programs about one domain. All else, but the domain's own folder, asks `domains.of(config)`.
ONE_DOMAIN = {
    'experiments/film.py', 'experiments/report_speed.py',
    'experiments/ceiling.py', 'experiments/score_floors.py', 'experiments/studies/ceiling_table.py',
    'experiments/camera_study.py',
}
MAY_IMPORT = {('own', 'atari')}  # Own data may be of a game.

DOORS = {
    'tensorflow': {'alpt_jax/data/tfrecord.py', 'alpt_jax/data/importers/rlds.py',
                   'alpt_jax/domains/atari/convert.py', 'experiments/loading.py'},
    'envlogger': {'alpt_jax/data/recorder_envlogger.py',
                  'alpt_jax/domains/atari/record_envlogger.py'},
    'ale_py': {'alpt_jax/domains/atari/env.py', 'alpt_jax/domains/atari/evaluate.py'},
    'vizdoom': {'alpt_jax/domains/doom/env.py'},
    'av': {'alpt_jax/data/importers/decoding.py'},
    'orbax': {'alpt_jax/training/checkpoints.py'},
    'minari': {'alpt_jax/data/importers/minari.py'},
    'wandb': {'alpt_jax/training/wandb_run.py'},
    'torch': {'experiments/benchmark.py', 'experiments/benchmarks/torch_gpt2.py'},
    'transformers': {'experiments/benchmarks/torch_gpt2.py'},
}
PICKLES = ('cloudpickle', 'dill', 'joblib', 'marshal', 'pickle', 'shelve')
SHARDINGS = ('NamedSharding', 'PartitionSpec', 'P', 'make_mesh', 'Mesh')


@functools.cache
def files():
  """{path: syntax tree} of the package, the programs and the launchers."""
  return {str(path.relative_to(ROOT)): ast.parse(path.read_text())
          for top in ('alpt_jax', 'experiments', 'launch')
          for path in sorted((ROOT / top).rglob('*.py')) if path.name != 'user.py'}


@functools.cache
def modules():
  """{dotted name: path}."""
  return {path.removesuffix('.py').removesuffix('/__init__').replace('/', '.'): path
          for path in files()}


def folder(module):
  """The folder of a module in the list; None for the package itself."""
  top, *rest = module.split('.')
  if top != 'alpt_jax':
    return top
  if not rest:
    return None
  return rest[0] if rest[0] in ALLOWED else 'ground'


def domain(module):
  """The domain whose folder a module is in; None if it is in none."""
  parts = module.split('.')
  return parts[2] if parts[:2] == ['alpt_jax', 'domains'] and len(parts) > 2 and (
      (ROOT / 'alpt_jax' / 'domains' / parts[2]).is_dir()) else None


@functools.cache
def imports():
  """List of (path, line, imported name); of our own modules their full dotted names."""
  found = []
  for path, tree in files().items():
    for node in ast.walk(tree):
      if isinstance(node, ast.Import):
        found += [(path, node.lineno, alias.name) for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        assert not node.level, f'{path}:{node.lineno}: imports relative to its place'
        for alias in node.names:
          full = f'{node.module}.{alias.name}'
          found.append((path, node.lineno, full if full in modules() else node.module))
  return found


def own_imports():
  """(path, line, module of the path, imported module), both of our own."""
  names = {path: name for name, path in modules().items()}
  return [(path, line, names[path], name) for path, line, name in imports() if name in modules()]


class LayersTest(absltest.TestCase):

  def assert_none(self, wrong, expected):
    self.assertEmpty(wrong, f'expected {expected}:\n' + '\n'.join(wrong))

  def assert_all_hold(self, listed, found):
    self.assertEmpty(set(listed) - set(found), 'listed as an exception, and none any more; '
                                               'take it off the list')

  def test_every_folder_is_in_the_list(self):
    self.assertEqual({folder(name) for name in modules()} - {None}, set(ALLOWED))

  def test_imports_point_down(self):
    wrong, excepted = [], set()
    for path, line, name, imported in own_imports():
      here, there = folder(name), folder(imported)
      if here == there or there is None or there in ALLOWED[here].split():
        continue
      if (path, imported) in UPWARD:
        excepted.add((path, imported))
      else:
        wrong.append(f'{path}:{line}: {here} imports {imported} of {there}')
    self.assert_none(wrong, 'imports of folders that stand above it only')
    self.assert_all_hold(UPWARD, excepted)

  def test_no_modules_import_each_other(self):
    arrows = {(name, imported) for _, _, name, imported in own_imports() if name != imported}
    while True:  # Takes away arrows from what nothing imports, and to what imports nothing.
      begins, ends = ({arrow[i] for arrow in arrows} for i in (0, 1))
      left = {(name, imported) for name, imported in arrows
              if name in ends and imported in begins}
      if left == arrows:
        break
      arrows = left
    self.assertEmpty(sorted(arrows), 'import each other, directly or through others')

  def test_a_domain_is_named_by_its_own_folder_only(self):
    named = {(path, line, domain(name), domain(imported), imported)
             for path, line, name, imported in own_imports() if domain(imported)}
    self.assert_none(
        [f'{path}:{line}: imports {imported}' for path, line, here, there, imported in named
         if here != there and (here, there) not in MAY_IMPORT and path not in ONE_DOMAIN],
        'what differs between domains to be asked of domains.of(config)')
    self.assert_all_hold(ONE_DOMAIN, {path for path, *_ in named})

  def test_only_a_domain_asks_which_one_it_is(self):
    self.assert_none(
        [f'{path}:{node.lineno}' for path, tree in files().items()
         if domain(path.removesuffix('.py').replace('/', '.')) is None
         for node in ast.walk(tree) if _asks(node)],
        'no comparison of the domain with a word: domains.of(config) answers')

  def test_heavy_packages_stand_behind_their_doors(self):
    used, wrong = collections.defaultdict(set), []
    for path, line, name in imports():
      package = name.split('.')[0]
      if package in DOORS:
        used[package].add(path)
        if path not in DOORS[package]:
          wrong.append(f'{path}:{line}: imports {name}')
    self.assert_none(wrong, 'these packages in the files of DOORS only')
    self.assertEqual(dict(used), DOORS)

  def test_nothing_is_unpickled(self):
    wrong = [f'{path}:{line}: imports {name}' for path, line, name in imports()
             if name.split('.')[0] in PICKLES]
    wrong += [f'{path}:{node.lineno}: np.load without allow_pickle=False'
              for path, tree in files().items() for node in ast.walk(tree)
              if isinstance(node, ast.Call) and ast.unparse(node.func) in ('np.load', 'numpy.load')
              and 'allow_pickle=False' not in map(ast.unparse, node.keywords)]
    self.assert_none(wrong, 'data of others that runs no code')

  def test_only_sharding_knows_the_axes_of_the_mesh(self):
    wrong = [f'{path}:{line}: calls {name}' for path, tree in files().items()
             if path != 'alpt_jax/training/sharding.py' for line, name in _shardings(tree)]
    self.assert_none(wrong, 'alpt_jax/training/sharding.py to lay out arrays')

  def test_shardings_are_found_however_they_are_spelt(self):
    for text in ('jax.P("data")', 'jax.sharding.NamedSharding(m, s)',
                 'from jax.sharding import PartitionSpec as P\nP("data")',
                 'from jax import sharding as s\ns.NamedSharding(m, p)',
                 'import jax.sharding as s\ns.Mesh(d, "x")'):
      self.assertLen(_shardings(ast.parse(text)), 1, msg=text)
    for text in ('sharding.rows(mesh)', 'page.P(1)', 'jax.jit(f)',
                 'from alpt_jax.training import sharding\nsharding.make_mesh()'):
      self.assertEmpty(_shardings(ast.parse(text)), msg=text)


def _shardings(tree):
  """[(line, name)] of calls of JAX's shardings in the tree of a file."""
  names = {}  # What is bound to what of JAX.
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names |= {alias.asname or alias.name.split('.')[0]: alias.name if alias.asname else 'jax'
                for alias in node.names if alias.name.split('.')[0] == 'jax'}
    elif isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'jax':
      names |= {alias.asname or alias.name: f'{node.module}.{alias.name}' for alias in node.names}
  names.setdefault('jax', 'jax')
  found = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Call):
      first, *rest = ast.unparse(node.func).split('.')
      name = '.'.join([names.get(first, ''), *rest])
      if name.startswith('jax.') and name.split('.')[-1] in SHARDINGS:
        found.append((node.lineno, name))
  return found


def _asks(node):
  """Whether a node compares `x.experiment` or `x['experiment']` with words."""
  if not isinstance(node, ast.Compare):
    return False
  sides = [node.left, *node.comparators]
  is_asked = any(
      isinstance(side, ast.Attribute) and side.attr == 'experiment'
      or isinstance(side, ast.Subscript) and isinstance(side.slice, ast.Constant)
      and side.slice.value == 'experiment' for side in sides)
  words = [word for side in sides for word in (
      side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side])]
  return is_asked and any(
      isinstance(word, ast.Constant) and isinstance(word.value, str) for word in words)


if __name__ == '__main__':
  absltest.main()
