"""Every path of every program is spelled in one way, whatever was typed."""

import ast
import functools
import os
import pathlib
import tempfile

from absl import flags
from absl.testing import absltest, parameterized

from alpt_jax import configs
from alpt_jax.files import paths

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Flags and fields of configs that hold text, and no path.
NO_PATH_FLAGS = {'environment', 'environments', 'game', 'known', 'preset', 'program', 'job',
                 'run_id', 'secrets', 'seeds', 'settings', 'share', 'strides', 'submit', 'target',
                 'targets', 'topology'}
NO_PATH_FIELDS = {
    'augmentation', 'collect.behaviour', 'collect.origin', 'dataset', 'evaluation.acting_mode',
    'evaluation.game', 'evaluation.rule', 'experiment', 'import_.kind', 'import_.on_problem',
    'method', 'model.compute_dtype', 'model.dt_tokenizer', 'model.idm_tokenizer',
    'model.action_order', 'model.return_tokens', 'observation', 'optimizer.name',
    'optimizer.schedule', 'phase', 'preset', 'pseudo_labels.mode', 'source_actions',
    'study.baseline', 'study.figure', 'study.rates.source', 'target', 'wandb_project'}
TEXT_FLAGS = ('DEFINE_string', 'DEFINE_list', 'DEFINE_multi_string', 'DEFINE_enum', 'DEFINE')


@functools.cache
def defined():
  """[(file, name of the flag, function that defines it)] of all flags of all programs."""
  found = []
  for top in ('alpt_jax', 'experiments', 'launch'):
    for path in sorted((ROOT / top).rglob('*.py')):
      for node in ast.walk(ast.parse(path.read_text())):
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in ('flags', 'paths') and node.args
            and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)):
          found.append((str(path.relative_to(ROOT)), node.args[0].value, node.func.attr))
  return found


PATH_FLAGS = [(file, name, function) for file, name, function in defined()
              if function in ('define', 'define_list')]


class CleanTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
    (self.root / 'home' / 'sub').mkdir(parents=True)
    (self.root / 'far' / 'below').mkdir(parents=True)
    (self.root / 'link').symlink_to('far/below')
    (self.root / 'dangling').symlink_to('far/new')
    self.enterContext(absltest.mock.patch.dict(os.environ, HOME=str(self.root / 'home')))
    before = os.getcwd()
    self.addCleanup(os.chdir, before)
    os.chdir(self.root)

  @parameterized.parameters(
      ('', ''), ('a', 'a'), ('a/', 'a'), ('a//', 'a'), ('./a', 'a'), ('a/./b//c/', 'a/b/c'),
      ('a/../b', 'b'), ('a/b/../../c/', 'c'), ('..', '..'), ('../', '..'), ('../../a', '../../a'),
      ('a/../..', '..'), ('.', '.'), ('./', '.'), ('a/..', '.'), ('/', '/'), ('/..', '/'),
      ('/../a/', '/a'), ('//a', '/a'), ('a~/~b', 'a~/~b'),
      ('./~nobody-here/a/', './~nobody-here/a'),
      ('a b/é/', 'a b/é'), ('results.json', 'results.json'), ('link', 'link'), ('link/', 'link'),
      ('link/new/', 'link/new'), ('gs://bucket/a//b/', 'gs://bucket/a//b/'),
      ('s3://bucket/../x', 's3://bucket/../x'))
  def test_spelling(self, typed, expected):
    self.assertEqual(paths.clean(typed), expected)
    self.assertEqual(paths.clean(paths.clean(typed)), paths.clean(typed))

  @parameterized.parameters(
      ('~', 'home'), ('~/', 'home'), ('~/sub/', 'home/sub'), ('~/../far', 'far'),
      ('~/x/../y', 'home/y'), ('link/..', 'far'), ('link/../new/', 'far/new'),
      ('link/../../home', 'home'), ('dangling', 'far/new'), ('dangling/deep/', 'far/new/deep'),
      ('home/../link', 'link'))
  def test_place(self, typed, expected):
    self.assertEqual(os.path.abspath(paths.clean(typed)), str(self.root / expected))

  def test_a_user_that_does_not_exist(self):
    with self.assertRaisesRegex(ValueError, "~nobody-here/a: no user is called 'nobody-here'"):
      paths.clean('~nobody-here/a')


class FlagsTest(parameterized.TestCase):

  def test_every_flag_that_holds_text_is_a_path_or_listed_here(self):
    text = {(file, name) for file, name, function in defined() if function in TEXT_FLAGS}
    self.assertEqual({name for _, name in text}, NO_PATH_FLAGS)
    self.assertGreaterEqual(len(PATH_FLAGS), 30)
    for file, name in (('experiments/label.py', 'output'), ('experiments/audit.py', 'compare'),
                       ('experiments/report.py', 'results'), ('launch/context.py',
                                                              'settings_file')):
      self.assertIn((file, name), {flag[:2] for flag in PATH_FLAGS})

  @parameterized.parameters(*PATH_FLAGS)
  def test_every_path_flag_takes_all_spellings(self, file, name, function):
    del file
    for typed in ('~/x', '~/x/', '~//x', '~/./x', '~/y/../x'):
      values = flags.FlagValues()
      with absltest.mock.patch.object(flags, 'DEFINE', functools.partial(
          flags.DEFINE, flag_values=values)):
        getattr(paths, function)(name, None, 'Help.')
      values(['program', f'--{name}={typed}'])
      expected = os.path.expanduser('~/x')
      self.assertEqual(values[name].value, expected if function == 'define' else [expected])


class FieldsTest(absltest.TestCase):

  def fields(self):
    """{field: values} of all fields of text in all configs."""
    found = {}
    for path in sorted((ROOT / 'experiments' / 'configs').glob('*.py')):
      if path.stem in ('__init__', 'base'):
        continue
      argument = {'paper': ':figure=2', 'studies': ':mazes'}.get(path.stem, '')
      for key, value in configs.flatten(configs.load(f'{path}{argument}')).items():
        if isinstance(value, str) and '.variants.' not in key:
          found.setdefault(key, set()).add(value)
    return found

  def test_every_field_that_holds_text_is_a_path_or_listed_here(self):
    found = self.fields()
    self.assertEqual(found.keys() - NO_PATH_FIELDS, set(paths.FIELDS))
    for field in paths.FIELDS:  # Nor does any setting change.
      for value in found[field]:
        self.assertEqual(paths.clean(value), value)

  def test_all_fields_of_a_config(self):
    for name in ('atari', 'own', 'maze'):
      config = configs.load(str(ROOT / 'experiments' / 'configs' / f'{name}.py'))
      flat = configs.flatten(config)
      for field in flat.keys() & set(paths.FIELDS):
        with config.unlocked():
          config.update_from_flattened_dict({field: '~/x/'})
      self.assertIs(paths.clean_config(config.lock()), config)
      changed = configs.flatten(config)
      self.assertEqual({key for key in flat if flat[key] != changed[key]},
                       flat.keys() & set(paths.FIELDS))
      self.assertEqual({changed[key] for key in flat.keys() & set(paths.FIELDS)},
                       {os.path.expanduser('~/x')})

  def test_a_mistake_names_the_field(self):
    config = configs.load(str(ROOT / 'experiments' / 'configs' / 'own.py'))
    config.import_.to_dir = '~nobody-here'
    with self.assertRaisesRegex(ValueError, 'import_.to_dir: ~nobody-here: no user is called'):
      paths.clean_config(config)


if __name__ == '__main__':
  absltest.main()
