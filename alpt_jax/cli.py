"""The door of all binaries: flags and config in, an exit code out.

A user's mistake ends in one line that names it, not in a traceback. Nothing heavy is imported here,
so that a typo is reported at once.
"""

import pathlib
import re
import sys
import traceback

from absl import app, flags, logging
from ml_collections import config_flags

from alpt_jax import configs, starting

_DEBUG = flags.DEFINE_bool('debug', False, 'Show the traceback of every error.')

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# {optional package: (what it is for, the extra that installs it)}.
_EXTRAS = {
    **dict.fromkeys(('ale_py', 'gymnasium', 'cv2'), ('Atari needs', 'atari')),
    'tensorflow': ('TFRecord files need', 'tensorflow'),
}
_OWN_PACKAGES = ('alpt_jax', 'experiments', 'launch', '__main__')


def run(main, default_config, *, rewrite=None, verbs=None):
  """Parses the command line, runs `main` and exits.

  Args:
    main: function of the locked `ml_collections.ConfigDict`; returns an exit code or None.
    default_config: value of --config if none is given, e.g. 'experiments/configs/maze.py'; relative
      to the repository.
    rewrite: function of the command line that returns one of flags that absl knows.
    verbs: {word: (main, default_config)}, what runs instead if the first argument is that word.
  """
  command, verbs = list(sys.argv), verbs or {}
  if command[1:2] and command[1] in verbs:
    main, default_config = verbs[command.pop(1)]
  default_config = str(_ROOT / default_config)
  try:
    argv = flags.FLAGS.read_flags_from_files(command, force_gnu=False)
    argv = rewrite(argv) if rewrite else argv
    config = configs.load(_config_path(argv, default_config))
    configs.check_keys(argv[1:], config)
  except (ValueError, flags.Error) as error:
    if '--debug' in sys.argv:
      raise
    _exit_with_error(error)
  keys = ', '.join(f'{key}={value!r}' for key, value in configs.flatten(config).items())
  config_flags.DEFINE_config_file(
      'config', default_config, lock_config=True,
      help_string=f'Config file, or file:argument. --config.key=value changes one of {keys}.')
  for name in ('config', 'debug'):  # Listed by --help, which knows the flags of the binary only.
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
  app.run(lambda _: _run_main(lambda: main(flags.FLAGS['config'].value)), argv,
          flags_parser=lambda argv: _parse(argv, config, verbs))


def is_config_given():
  """Whether the command line has --config, or a key of it; False where nothing parsed one."""
  if 'config' not in flags.FLAGS:
    return False
  config = flags.FLAGS['config']
  return bool(config.present or config.override_values)


def run_without_config(main):
  """As `run`, for binaries that read the config of a run, and whose other settings are flags.

  Args:
    main: function without arguments; returns an exit code or None.
  """
  flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS['debug'])

  def parse(argv):
    positional = app.parse_flags_with_usage(argv)[1:]
    if positional:
      _exit_with_error(f'{positional[0]}: unexpected argument; flags are written --name=value')
    return argv[:1]

  app.run(lambda _: _run_main(main), flags_parser=parse)


def run_with_arguments(main):
  """As `run`, for binaries without a config that look themselves at what is no flag.

  Args:
    main: function of the command line without its flags; returns an exit code or None.
  """
  flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS['debug'])
  app.run(lambda argv: _run_main(lambda: main(argv)))


def _run_main(main):
  if not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.WARNING)  # Libraries say much that is not for users.
  try:
    starting.end()
    return main()
  except KeyboardInterrupt:
    return _interrupted()
  except ImportError as error:  # An optional package.
    if isinstance(error.__cause__, KeyboardInterrupt):  # Of a compiled module that was at it.
      return _interrupted()
    extra = _EXTRAS.get((error.name or '').split('.')[0])
    if _DEBUG.value or extra is None:
      raise
    what, name = extra
    _exit_with_error(f'{error}; {what} pip install ".[{name}]"')
  except OSError as error:  # A path, a permission, a full disk.
    if _DEBUG.value:
      raise
    _exit_with_error(_describe_os_error(error))
  except ValueError as error:
    if _DEBUG.value or not _is_ours(error):
      raise
    _exit_with_error(error)


def _interrupted():
  sys.stderr.write('interrupted\n')
  return starting.INTERRUPTED


def _exit_with_error(message):
  line = ' '.join(part.strip() for part in str(message).splitlines())
  sys.stderr.write(f'error: {line}\n')
  sys.exit(1)


def _describe_os_error(error):
  if error.filename is None or error.strerror is None:
    return str(error)  # Ours: it has a sentence.
  return f'{error.filename}: {error.strerror}'


def _is_ours(error):
  """Whether our code raised it on purpose; of any other ValueError the traceback is wanted."""
  *_, (frame, _) = traceback.walk_tb(error.__traceback__)
  # The statement too: JAX removes its own frames, so that ours seems to be where it failed.
  statement = traceback.extract_tb(error.__traceback__)[-1].line
  return (frame.f_globals['__name__'].split('.')[0] in _OWN_PACKAGES and
          statement.startswith('raise '))


def _config_path(argv, default):
  """The last value of --config on the command line."""
  path = default
  for i, arg in enumerate(argv):
    if match := re.fullmatch(r'--?config(?:=(.*))?', arg, re.DOTALL):
      path = match[1] if match[1] is not None else ''.join(argv[i + 1:i + 2])
  return path


def _parse(argv, config, verbs):
  """Parses flags; exits with a line that names key, value and type if a value doesn't fit."""
  try:
    positional = flags.FLAGS(argv)[1:]
  except flags.IllegalFlagValueError as error:
    match = re.match(r'flag --(config\.([^=]*)=.*)', str(error), re.DOTALL)
    if not match:
      return app.parse_flags_with_usage(argv)
    given = match[1].removesuffix(f': {error.__context__}')
    *groups, name = match[2].split('.')
    for group in groups:
      config = config[group]
    _exit_with_error(f'--{given}: expected {config.get_type(name).__name__}')
  except flags.Error:
    return app.parse_flags_with_usage(argv)  # absl's message, exit code 1.
  if positional:
    where = 'goes before all flags' if positional[0] in verbs else 'flags are written --name=value'
    _exit_with_error(f'{positional[0]}: unexpected argument; {where}')
  defaults = configs.flatten(config)
  for key, value in flags.FLAGS['config'].override_values.items():
    _check_tuple(key, value, defaults[key])
  return argv[:1]


def _check_tuple(key, value, default):
  """Exits if a tuple has elements of other types than the config's; ml_collections takes any."""
  if not isinstance(value, tuple) or not default:
    return
  kinds = {type(element) for element in default}
  if float in kinds:
    kinds.add(int)
  if any(type(element) not in kinds for element in value):
    names = ' or '.join(sorted(kind.__name__ for kind in kinds))
    _exit_with_error(f'--config.{key}={value}: expected a tuple of {names}, e.g. "{default}"')
