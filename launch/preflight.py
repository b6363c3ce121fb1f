"""Compiles a run's update for a slice of a TPU pod, without one, and says what it will cost.

python -m launch.preflight --config=experiments/configs/atari.py:paper,phase=pretrain \\
    --topology=v5e:4x4
python -m launch.preflight --config=... --topology=v4:2x2x4 --config.batch_size=2080 --json

No data and no TPU is needed: the compiler is libtpu from the package index, the update is the one
that experiments/train.py runs, and the batches are shapes. Chips: v4, v5e, v5p, v6e, up to 256.
Exit codes: 0 it fits, 1 it does not (with the remedy) or there is a mistake in the config.

What an estimate is worth is said at the end of the table, and in launch/README.md.
"""

import collections
import json
import re
import time

import jax
from absl import flags

from alpt_jax import cli
from alpt_jax.learners import learner
from alpt_jax.training import program, run_config, sharding, shares
from launch import chips, hlo

_TOPOLOGY = flags.DEFINE_string('topology', 'v5e:2x4', 'Chip and shape of the slice: v5e:4x4.')
_JSON = flags.DEFINE_bool('json', False, 'Print one JSON object instead of a table.')

_NUM_OPERATIONS = 10
_CAVEATS = """\
Estimates are the compiler's own, made before any run: they are good for comparing programs, not as
a promise. Not in them: reading data and dispatch on the host, waiting for the slowest chip, and
{num_silent} small operations of which the compiler says nothing. Collectives are counted apart: as
rings over two links of a chip at their full bandwidth, less what is computed meanwhile."""


def compile_update(config, topology):
  """Compiles the update of a run.

  Args:
    config: the run's; data need not be there.
    topology: see `chips.parse`.

  Returns:
    `jax.stages.Compiled`; {part: rows of a global batch}; operations of the model in an update, as
    `Learner.flops` counts them.

  Raises:
    ValueError: for a mistake in the config, or if the update needs more memory than a chip has.
  """
  devices = chips.devices(topology)
  if config.phase == 'finetune' and not config.init_from:
    config.init_from = '(not needed here)'
  phase, specs = run_config.check_run(config)
  mesh = sharding.make_mesh(fsdp=config.sharding.fsdp, devices=devices)
  shares.check_rows(config, phase, specs, mesh)
  made = program.make_program(config, phase, specs, mesh)
  key = jax.eval_shape(lambda: jax.random.key(0))
  key = jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=sharding.replicated(mesh))
  batches = program.abstract_batches(config, phase, specs, mesh)
  rows = shares.part_rows(config, phase, specs)
  lowered = made.update.lower(made.state, batches, key)
  try:
    return lowered.compile(), rows, made.learner.flops(rows)
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    raise ValueError(_too_large(config, topology, str(error))) from error


def _too_large(config, topology, error):
  """One line: what is missing, and what helps."""
  said = re.search(r'RESOURCE_EXHAUSTED: ([^\n]*)', error)[1].rstrip('. ')
  settings = config.sharding
  remedies = ['a smaller --config.batch_size and --config.idm_batch_size',
              f'--config.sharding.accumulate={2 * settings.accumulate}']
  if not settings.optimizer:
    remedies.append('--config.sharding.optimizer=True')
  remedies.append(f'--config.sharding.fsdp={2 * settings.fsdp}')
  return (f'does not fit into the memory of a chip of {topology} ({said}). Try '
          f'{", ".join(remedies)}, or more chips.')


def measure(compiled, *, chip, num_chips, work, num_windows, config):
  """Reads the numbers off a compiled update.

  Args:
    compiled: `jax.stages.Compiled` for a TPU.
    chip: `chips.Chip`.
    num_chips: in the slice.
    work: operations of the model in an update, as `Learner.flops` counts them.
    num_windows: that the DT or the Q-network trains on in an update.
    config: the run's.

  Returns:
    dict, see launch/README.md; numbers are of one device and one update unless they say otherwise.
  """
  module = hlo.parse(compiled.as_text())
  costs = hlo.costs(module)
  moves = hlo.transfers(module, num_chips)
  memory = compiled.memory_analysis()
  model_flops = sum(work.values()) / num_chips
  compute_ms = 1e3 * sum(cost.cycles for cost in costs) / chip.clock
  exposed = [max(0., 1e3 * move.sent_bytes / chip.ici_bandwidth
                 - 1e3 * move.hidden_cycles / chip.clock) for move in moves]
  estimated_ms = compute_ms + sum(exposed)
  hbm_bytes = sum(cost.hbm_bytes for cost in costs)
  window = learner.make(config, *run_config.check_run(config)).window
  num_frames = num_windows * window * run_config.frames_per_step(config)
  collectives = collections.defaultdict(lambda: dict(count=0, bytes=0, exposed_ms=0.))
  for move, exposed_ms in zip(moves, exposed, strict=True):
    entry = collectives[move.kind]
    entry['count'] += move.count
    entry['bytes'] += move.num_bytes
    entry['exposed_ms'] += exposed_ms
  return dict(
      num_chips=num_chips,
      model_flops=model_flops,
      model_flops_by_part={part: n / num_chips for part, n in work.items()},
      hbm_bytes=hbm_bytes,
      hbm_ms=1e3 * hbm_bytes / chip.hbm_bandwidth,
      argument_bytes=memory.argument_size_in_bytes,
      # Results that do not take the place of arguments, and the program itself, are temporary too.
      temp_bytes=(memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
                  + memory.output_size_in_bytes - memory.alias_size_in_bytes),
      hbm_capacity_bytes=chip.hbm_bytes,
      collective_bytes=sum(move.num_bytes for move in moves),
      collectives=dict(collectives),
      collective_ms=sum(exposed),
      compute_ms=compute_ms,
      estimated_ms=estimated_ms,
      mfu_estimate=model_flops / (compute_ms * 1e-3 * chip.flops),
      mfu_with_collectives=model_flops / (estimated_ms * 1e-3 * chip.flops),
      operations=_expensive(costs, chip),
      num_operations=sum(cost.count for cost in costs),
      num_operations_without_estimate=sum(
          cost.count for cost in costs
          if cost.instruction.cycles is None and not hlo.collective(cost.instruction)),
      frames_per_second=num_frames / (estimated_ms * 1e-3),
      windows_per_second=num_windows / (estimated_ms * 1e-3),
      num_steps=config.num_steps,
      hours=config.num_steps * estimated_ms / 3.6e6)


def _expensive(costs, chip):
  """The operations that take longest, the same ones of all layers as one."""
  groups = collections.defaultdict(lambda: dict(count=0, ms=0., hbm_bytes=0))
  for cost in costs:
    name = re.sub(r'block_\d+', 'block_*', cost.instruction.op_name.split(';')[0])
    name = re.sub(r'^jit\(\w+\)/', '', name) or cost.instruction.opcode
    entry = groups[name]
    entry['count'] += cost.count
    entry['ms'] += 1e3 * cost.cycles / chip.clock
    entry['hbm_bytes'] += cost.hbm_bytes
  ranked = sorted(groups.items(), key=lambda item: -item[1]['ms'])
  return [dict(name=name, **entry) for name, entry in ranked[:_NUM_OPERATIONS]]


def table(result):
  """Formats what `main` found for people."""
  giga = lambda n: f'{n / 1e9:.2f} GB'  # noqa: E731
  fraction = (result['argument_bytes'] + result['temp_bytes']) / result['hbm_capacity_bytes']
  rows = ', '.join(f'{part} {n}' for part, n in result['rows'].items())
  parts = ', '.join(f'{part} {n / 1e9:.0f}' for part, n in result['model_flops_by_part'].items())
  lines = [
      f'{result["topology"]}: {result["num_chips"]} chips; windows a step: {rows}',
      '',
      'Each device, each update',
      f'  model            {result["model_flops"] / 1e9:.0f} GFLOP ({parts})',
      f'  HBM traffic      {giga(result["hbm_bytes"])}, at full bandwidth '
      f'{result["hbm_ms"]:.2f} ms',
      f'  memory           arguments {giga(result["argument_bytes"])}, temporary '
      f'{giga(result["temp_bytes"])}: {fraction:.0%} of {giga(result["hbm_capacity_bytes"])}',
      f'  collectives      {giga(result["collective_bytes"])}, not hidden '
      f'{result["collective_ms"]:.2f} ms']
  lines += [f'    {kind:22s} x {entry["count"]}: {giga(entry["bytes"])}'
            for kind, entry in result['collectives'].items()]
  lines += [
      f'  estimated        {result["estimated_ms"]:.2f} ms, {result["compute_ms"]:.2f} of them '
      'computing',
      f'  estimated MFU    {result["mfu_estimate"]:.1%} while computing, '
      f'{result["mfu_with_collectives"]:.1%} of the whole',
      '',
      f'The slice: {result["frames_per_second"]:,.0f} frames/s; {result["num_steps"]:,} updates in '
      f'{result["hours"]:.1f} hours',
      '',
      'What takes longest (layers together)']
  lines += [f'  {entry["ms"]:6.2f} ms  {entry["ms"] / result["compute_ms"]:5.1%}  '
            f'{entry["hbm_bytes"] / 1e6:7.0f} MB  x{entry["count"]:<4d} {entry["name"][-90:]}'
            for entry in result['operations']]
  lines += ['', _CAVEATS.format(num_silent=result['num_operations_without_estimate']),
            f'Compiled in {result["compile_seconds"]:.0f} s.']
  return '\n'.join(lines)


def main(config):
  """Compiles, measures, prints."""
  topology = _TOPOLOGY.value
  chip, num_chips = chips.parse(topology)
  start = time.perf_counter()
  compiled, rows, work = compile_update(config, topology)
  seconds = time.perf_counter() - start
  result = dict(topology=topology, rows=rows, compile_seconds=seconds) | measure(
      compiled, chip=chip, num_chips=num_chips, work=work,
      num_windows=sum(n for part, n in rows.items() if part != 'idm'), config=config)
  print(json.dumps(result) if _JSON.value else table(result))


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/atari.py')
