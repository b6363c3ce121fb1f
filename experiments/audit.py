"""Audits a run's IDM: can its labels be trusted, before a DT is trained on them?

python -m experiments.audit --run=runs/alpt
python -m experiments.audit --run=runs/breakout --hidden --environments=Breakout,Freeway
python -m experiments.audit --run=runs/own/with --compare=runs/own/without
python -m experiments.audit --alignment --dataset=runs/own/data/Breakout

Compares what the IDM of the newest checkpoint says with the recorded actions of episodes of the
target in which training knew none; prints the verdict and writes audit/audit.html and audit.json in
the run directory. The page shows the worst labels beside their frames, too, where observations are
pictures. The config is the run's own. Where training knew actions in every episode, as in
small Atari datasets, --hidden audits the hidden transitions of these episodes. Of --environments
that were sources it says how well they are remembered; others were never seen.

Fits two temperatures: one for experiments.label with the same --stride, to the average of all
windows that vote; one for training (pseudo_labels.temperature), to single windows, for which the
IDM goes through the episodes once more.

Of actions of several parts, each is judged by its kind: keys by when they are pressed and released,
numbers by R² and their error, beside what needs no IDM and the ceiling, where it is known.

--causal=runs/past names a run with --config.model.idm_is_causal=True and the same labels: what the
past alone tells of an action, as another floor.

Is a source worth using? With --compare, the IDM is also compared with that of a run without it, on
transitions of which neither knew the action; writes audit/compare.json, too. The two runs may
differ in sources, method and phase only: give both the same num_steps and idm_batch_size, which
presets round to the number of sources. A verdict needs five pairs of runs, each with another seed:
--run and --compare then name as many runs each, with commas between. The audit is of the first.

An IDM that sees past frames learns a lag that all listed actions share, so that held-out ones
cannot show it. With --alignment, no IDM is asked: which change of the picture tells the listed
actions beyond what the past tells of them? Says whether they are late, and which files differ from
the rest; of a run, or of a dataset without one. Early ones cannot be told from pictures that show
an action late, unless --latency says how late they do. Writes alignment.json only.
"""

import json
import os
import shlex
import sys

from absl import flags

from alpt_jax import cli
from alpt_jax.data import alignment_check
from alpt_jax.files import atomic_files, paths
from alpt_jax.labelling import (
    alignment_run,
    audit_compare,
    audit_run,
    paired_runs,
    trained_idm,
)
from alpt_jax.training import compilation_cache

_RUN = paths.define_list('run', [], 'The run directory; with --compare, one or several.')
_COMPARE = paths.define_list('compare', [], 'Runs to compare it with, of the same seeds.')
_SMALLEST_EFFECT = flags.DEFINE_float(
    'smallest_effect', audit_compare.SMALLEST_EFFECT, 'Difference of accuracies below which a '
    'source makes no difference.')
_ENVIRONMENTS = flags.DEFINE_list('environments', [], 'Names; by default, the targets of the run.')
_DATA_DIR = paths.define('data_dir', '', 'Where the data is, if it has moved since.')
_NUM_EPISODES = flags.DEFINE_integer('num_episodes', 100, 'Of each environment at most, drawn at '
                                     'random; 0 for all.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of that.', lower_bound=0)
_CAUSAL = paths.define('causal', '', 'Directory of a run with model.idm_is_causal and the '
                        'same labels, a floor.')
_STRIDE = flags.DEFINE_integer('stride', 1, 'Transitions from one window of the IDM to the next; '
                               '1: all windows vote; the window: they do not overlap.')
_HIDDEN = flags.DEFINE_bool('hidden', False, 'Audit the hidden transitions of episodes in which '
                            'training knew other actions.')
_ALLOW_OTHER_SPEED = flags.DEFINE_bool(
    'allow_other_speed', False, 'Audit data of other steps_per_second or another frame_skip than '
    'the IDM was trained on; the audit says so.')
_ALIGNMENT = flags.DEFINE_bool('alignment', False, 'Check whether listed actions sit at their own '
                               'transitions; needs no trained run.')
_DATASET = paths.define('dataset', '', 'Directory of an imported dataset, instead of --run; for '
                        '--alignment.')
_LATENCY = flags.DEFINE_integer('latency', None, 'Transitions from an action to the first change '
                                'that it makes, if you know; for --alignment.', lower_bound=0)
_OUTPUT = paths.define('output', '', 'Directory to write to; by default, audit in the run '
                       'directory.')


def main():
  """Audits `--run`, and compares it with `--compare`; or checks the alignment of its data."""
  if _ALIGNMENT.value:
    return _check_alignment()
  if _DATASET.value or _LATENCY.value is not None:
    raise ValueError(f'--{"dataset" if _DATASET.value else "latency"} is for --alignment; expected '
                     'that, too.')
  if not _RUN.value:
    raise ValueError('--run is empty; expected a run directory, e.g. --run=runs/alpt.')
  if len(_RUN.value) > 1 and not _COMPARE.value:
    raise ValueError(f'--run is {",".join(_RUN.value)}; expected one run directory, or as many '
                     'with --compare.')
  pairs = []
  if _COMPARE.value:
    pairs = paired_runs.pair(*([paired_runs.restore(directory, data_dir=_DATA_DIR.value)
                                for directory in names] for names in (_RUN.value, _COMPARE.value)))
  trained = trained_idm.restore(_RUN.value[0], data_dir=_DATA_DIR.value)
  kind = audit_run.kind_of(trained.spec.actions)
  compilation_cache.use(trained.config.compilation_cache_dir)
  settings = dict(
      environments=_ENVIRONMENTS.value, num_episodes=_NUM_EPISODES.value, seed=_SEED.value,
      stride=_STRIDE.value, is_hidden=_HIDDEN.value,
      command=shlex.join(['python', '-m', 'experiments.audit', *sys.argv[1:]]))
  if pairs:  # Before hours are spent on the audit.
    audit_compare.check(pairs, smallest_effect=_SMALLEST_EFFECT.value, **{
        key: settings[key] for key in ('environments', 'num_episodes', 'stride')})
  found = audit_run.audit_run(
      trained, causal=_CAUSAL.value, allow_other_speed=_ALLOW_OTHER_SPEED.value, **settings)
  comparison = audit_compare.compare(
      pairs, smallest_effect=_SMALLEST_EFFECT.value, **settings) if pairs else None
  _write(trained, kind.page(found, comparison), found, comparison)


def _check_alignment():
  """Checks whether listed actions sit at their own transitions; writes alignment.json."""
  if (len(_RUN.value), bool(_DATASET.value)) not in ((1, False), (0, True)):
    raise ValueError(f'--run is {",".join(_RUN.value)!r}, --dataset {_DATASET.value!r}; expected '
                     'one directory, of a run or of a dataset, with --alignment.')
  settings = dict(num_episodes=_NUM_EPISODES.value, latency=_LATENCY.value, seed=_SEED.value)
  if _DATASET.value:
    found = [alignment_check.check_directory(_DATASET.value, **settings)]
    directory = _OUTPUT.value or _DATASET.value
  else:
    found = alignment_run.check_run(_RUN.value[0], data_dir=_DATA_DIR.value,
                                    environments=_ENVIRONMENTS.value, **settings)
    directory = _OUTPUT.value or os.path.join(_RUN.value[0], 'audit')
  path = os.path.join(directory, alignment_check.FILE)
  os.makedirs(directory, exist_ok=True)
  atomic_files.write_json(path, {'environments': found})
  print('\n'.join([*(line for each in found for line in each['sentences']), f'Wrote {path}.']))


def _write(trained, content_of_page, found, comparison):
  """Writes and prints an audit, and a comparison if there is one."""
  numbers, page = audit_run.paths(trained.directory, _OUTPUT.value)
  written = {numbers: found}
  if comparison is not None:
    written[os.path.join(os.path.dirname(numbers), 'compare.json')] = comparison
  atomic_files.write_all({path: json.dumps(content, indent=1).encode()
                          for path, content in written.items()}
                         | {page: content_of_page.encode()})
  trained_idm.warn_if_unfinished(trained)
  print('\n'.join([*found['headlines'], *(
      f'warning ({warning["kind"]}): {warning["text"]}' for warning in found['warnings'])]))
  if found['temperature'] is not None:
    print(f'Temperature {found["temperature"]:.4g} for experiments.label with '
          f'--stride={found["stride"]}; {found["training_temperature"]:.4g} for training '
          '(pseudo_labels.temperature).')
    for key in ('temperature', 'training_temperature'):
      fit = found[f'{key}_fit']
      advice = '' if found[key] != 1 else ' It was not found to help: leave it at 1.'
      print(f'  {key} {fit["fitted"]:.4g}, fitted to {fit["num_episodes_fitted"]} episodes; on '
            f'{fit["num_episodes_judged"]} others the log-likelihood costs {fit["nll_before"]:.3f} '
            f'-> {fit["nll_after"]:.3f} nats, the calibration error is '
            f'{fit["before"]["error"]:.3f} -> {fit["after"]["error"]:.3f}.{advice}')
  print(f'To label: {found["about"]["label_command"]}')
  if comparison is not None:
    print('\n'.join(comparison['sentences']))
  *first, last = page, *written
  print(f'Wrote {", ".join(first)} and {last}.')


if __name__ == '__main__':
  cli.run_without_config(main)
