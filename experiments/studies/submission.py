"""Submits the training runs of an experiment through launch/, instead of training them here.

python -m experiments.reproduce --config=experiments/configs/paper.py:figure=2,preset=paper \\
    --config.workdir=/shared/figures --config.data_dir=/shared/data \\
    --submit=slurm --settings.run_root=/shared/runs

Every training run is a run of the launcher with an id of its own, whose directory is where it would
be trained here. What starts from another run is submitted when that one is finished. Targets that
wait for their programs are given one run after another; tpu_vm `study.num_workers` at a time.
Clusters (slurm, gke) have the jobs at once, and the same command again submits what has become
ready. What is under way is not submitted twice, as far as the target knows: each knows its own
queue only.
"""

import contextlib
import difflib
import hashlib
import os
import pathlib
import re
import time

from absl import flags

from experiments.studies import runs
from launch import context as context_
from launch import preparation, redaction, restarts, targets
from launch import runs as launch_runs
from launch import settings as settings_

_SUBMIT = flags.DEFINE_string(
    'submit', '', f'Target that trains the runs, see launch/README.md: {", ".join(targets.NAMES)}; '
    'here if empty.')
_SETTINGS = flags.DEFINE_multi_string(
    'settings', [], 'With --submit; written --settings.<key>=<value>, see launch/user.example.py.')
flags.adopt_module_key_flags(context_)
flags.adopt_module_key_flags(preparation)

_HASH_LENGTH = 6
_SHORTEST_WORD = 2
_MAX_LOOKS = 6  # For what a run has written: shared file systems may show new files late.
_TURNS = '{num} at a time; then those that wait.'
_NEXT = ('The same command, again, submits what has become ready by then; after the last run, it '
         'writes the results.\npython -m launch.status --target={target} --run_id=<id> looks at '
         'one.')


def target_name():
  """Returns the target that the user wants the runs on; '' to train them here."""
  return _SUBMIT.value


def settings_as_flags(argv):
  """Makes flags that are known of --settings.<key>=<value>.

  Args:
    argv: the command line.

  Returns:
    It, with --settings=<key>=<value> in their places.
  """
  program, *rest = argv
  rest, given = settings_.take_flags(rest)
  return [program, *(f'--settings={key}={text}' for key, text in given), *rest]


def run_id(config, run):
  """Names a run for all targets: its name, shortened, and a hash of its directory.

  The hash tells runs of one name in two experiments apart, which a queue has side by side.
  """
  directory = os.path.abspath(os.path.join(config.workdir, run.name))
  digest = hashlib.sha256(directory.encode()).hexdigest()[:_HASH_LENGTH]
  words = re.findall('[a-z0-9]+', run.name.lower())
  while len('-'.join([*words, digest])) > launch_runs.MAX_ID_LENGTH:
    # Long words lose letters first. Numbers tell runs apart.
    i = max(range(len(words)), key=lambda i: (
        words[i].isalpha() and len(words[i]) > _SHORTEST_WORD, len(words[i])))
    words[i] = words[i][:-1]
  return '-'.join([*words, digest])


def check(config, *, is_dry_run=False):
  """Refuses what `submit` would refuse, before data is collected; does nothing without --submit.

  Args:
    config: of the experiment.
    is_dry_run: as of `submit`.

  Raises:
    ValueError: naming the flag, the setting or the field.
  """
  if not target_name():
    given = [f'--settings.{text}' for text in _SETTINGS.value]
    if given:
      raise ValueError(f'{given[0]}: is for --submit=<target>. Give it, or leave this out.')
    return
  _hosts_config(config, target_name(), _make_context(target_name(), is_dry_run).settings)


def submit(config, todo, target, *, is_dry_run=False):
  """Submits all runs that are ready, in as many rounds as the target waits for.

  Args:
    config: of the experiment.
    todo: the `study.Run`s that are not finished, each after what it starts from.
    target: one of `targets.NAMES`.
    is_dry_run: show what would be submitted now.

  Returns:
    None if all are finished; else an exit code: that of a program if it was waited for, 0 if the
    rest is with a cluster, or was only shown.

  Raises:
    ValueError: for a mistake, or a run that says it is done and left nothing in its directory.
  """
  context = _make_context(target, is_dry_run)
  hosts_config = _hosts_config(config, target, context.settings)
  planned = {run: _launch_run(config, hosts_config, run, context.settings) for run in todo}
  todo = list(todo)
  with contextlib.chdir(settings_.ROOT):  # Where the launcher and its logs are at home.
    if todo:
      preparation.prepare(list(planned.values()), context, target)
    is_first = True
    while todo:
      round_ = _Round(config, todo, planned, target, context)
      round_.tell(is_first)
      is_first = False
      code = round_.start()
      if is_dry_run or target not in targets.WAIT:
        context.shell.say(
            _TURNS.format(num=_num_at_once(config, target)) if target in targets.WAIT else
            _NEXT.format(target=target))
        return restarts.DONE
      todo = round_.left(code)
      if todo and (code or not round_.starting):
        return code or restarts.PREEMPTED
  return None


def _num_at_once(config, target):
  """How many runs a round of a target that waits for them has."""
  if target in targets.ON_THIS_MACHINE:
    return 1  # And another launcher may have come for the next one.
  return config.study.num_workers or 1  # Each costs.


class _Round:
  """The runs that are submitted together.

  Attributes:
    starting: those that are ready and not there yet.
  """

  def __init__(self, config, todo, planned, target, context):
    """Asks the target.

    Args:
      config: of the experiment.
      todo: the runs that are not finished.
      planned: {run: `launch.runs.Run`}.
      target: its name.
      context: `context.Context`.
    """
    self._config, self._todo, self._planned = config, todo, planned
    self._target, self._context = targets.module(target), context
    ready = [run for run in todo if run.after not in todo]
    self._active = {}  # Run: what it is doing.
    if not context.shell.dry_run:
      activities = {run: self._target.activity(planned[run].id, context) for run in ready}
      self._active = {run: activity for run, activity in activities.items() if activity}
    idle = [run for run in ready if run not in self._active]
    is_all = context.shell.dry_run or target not in targets.WAIT
    self.starting = idle if is_all else idle[:_num_at_once(config, target)]

  def tell(self, is_first):
    """Lists the runs: all in the first round, then those that are submitted."""
    say, num_now, num_active = self._context.shell.say, len(self.starting), len(self._active)
    say(f'{len(self._todo)} runs to finish: {num_now} submitted now, {num_active} under way, '
        f'{len(self._todo) - num_now - num_active} waiting')
    if self._context.shell.dry_run:
      say('A dry run does not ask what is under way already.')
    for run in self._todo if is_first else self.starting:
      text = f'{run.name}: {self._planned[run].id}'
      if run in self._active:
        text += f', is {self._active[run]}'
      elif run not in self.starting:
        text += f', waits for {run.after if run.after in self._todo else "its turn"}'
      say(text)

  def start(self):
    """Submits; returns an exit code."""
    chosen = [self._planned[run] for run in self.starting]
    if not chosen:
      return restarts.DONE
    if not self._context.shell.dry_run:
      for run in chosen:
        self._context.record_workdir(run)
    return self._target.submit(chosen, self._context)

  def left(self, code):
    """Lists the runs that are not finished when the programs have ended with an exit code.

    Raises:
      ValueError: if one is not, though all of the round have ended well.
    """
    for look in range(_MAX_LOOKS):
      if look:
        time.sleep(self._context.settings.poll_seconds)
      finished = [run for run in (*self.starting, *self._active)
                  if runs.is_finished(self._config, run)]
      missing = [run for run in self.starting if run not in finished]
      if code or not missing:
        break
    else:
      raise ValueError(f'{missing[0].name}: has ended, and is not finished in '
                       f'{self._planned[missing[0]].workdir} on this computer. Give a '
                       '--config.workdir that the hosts and this computer both see.')
    for run in missing:
      self._context.shell.say(f'{run.name}: is not finished; the same command resumes it')
    return [run for run in self._todo if run not in finished]


def _make_context(target, is_dry_run):
  if target not in targets.NAMES:
    close = difflib.get_close_matches(target, targets.NAMES, n=1)
    hint = f'did you mean {close[0]}?' if close else f'expected one of {", ".join(targets.NAMES)}'
    raise ValueError(f'--submit={target}: unknown target; {hint}')
  given = [text.partition('=') for text in _SETTINGS.value]
  return context_.make(target, tuple((key, text) for key, _, text in given), dry_run=is_dry_run)


def _hosts_config(config, target, settings):
  """The config of the experiment with the places as the hosts see them.

  Raises:
    ValueError: naming the field that is no such place.
  """
  result = config.copy_and_resolve_references()
  is_here = target in targets.ON_THIS_MACHINE
  if not is_here and not config.data_dir.startswith('/') and settings.data_dir:
    result.data_dir = settings.data_dir
  for key in ('workdir', 'data_dir'):
    value = result[key]
    if is_here:
      if not os.path.isabs(value) and pathlib.Path.cwd() != settings_.ROOT:
        raise ValueError(f'{key} is {value!r}, and target {target} works in {settings_.ROOT}. '
                         f'Give an absolute --config.{key}, or start from there.')
    elif not value.startswith('/'):
      raise ValueError(f'{key} is {value!r}; target {target} needs an absolute directory that its '
                       f'hosts and this computer both see, e.g. --config.{key}=/shared/{key}')
    elif target in targets.MOUNT and not pathlib.PurePath(value).is_relative_to(
        settings.mount_point):
      raise ValueError(f'{key} is {value!r}; the hosts of target {target} keep only what is under '
                       f'{settings.mount_point} (mount_point). Mount the storage there on this '
                       f'computer, too, and give e.g. --config.{key}={settings.mount_point}/{key}')
  return result


def _launch_run(config, hosts_config, run, settings):
  """The `launch.runs.Run` of a training run."""
  _, program, path, *arguments = runs.command(hosts_config, run)
  # Hosts have the code elsewhere.
  path = path.replace(f'--config={runs.ROOT}/', '--config=', 1)
  redaction.check_arguments(arguments, settings.secrets)
  # Always passed, even where it is the default here: data_dir of the settings must not replace it.
  data_dir = f'--config.data_dir={hosts_config.data_dir}'
  arguments = [path, *arguments, *([] if data_dir in arguments else [data_dir])]
  return launch_runs.make_run(settings, run_id(config, run), program, arguments,
                              os.path.join(hosts_config.workdir, run.name))
