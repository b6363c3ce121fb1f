"""Reads costs from XLA's optimized HLO for TPUs: text in, numbers out. Compiles nothing.

Two measures of one device's program, both exact functions of the text (see launch/README.md for
what they are worth): the cycles that the TPU compiler itself expects of each operation, and the
bytes that move in and out of HBM. Loops count as often as they run, of branches the longest.

Sizes are those in memory: a TPU pads the last two dimensions of an array to whole tiles, e.g.
bf16[197,64] becomes bf16[200,128].
"""

import math
import re
from typing import NamedTuple

_BITS = {'pred': 8, 's4': 4, 'u4': 4, 'token': 0, 'opaque': 0}
# Operations that move nothing: they name data that is already there.
_NAMES = ('parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'after-all',
          'partition-id', 'replica-id', 'optimization-barrier', 'domain')
_FLAGS = 2  # The memory space of semaphores.
_COLLECTIVES = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute',
                'ragged-all-to-all', 'collective-broadcast')
_ARRAY = re.compile(r'([a-z]+[0-9]*\w*)\[([0-9,<=]*)\](?:\{([^}]*)\})?')
_NAME = re.compile(r'%([\w.\-]+)')
_INSTRUCTION = re.compile(r'\s+(?P<root>ROOT )?%(?P<name>[\w.\-]+) = ')
_OPCODE = re.compile(r' ([\w\-]+)\(')
_CALLED = re.compile(
    r'(?:calls|body|condition|to_apply|true_computation|false_computation)=%([\w.\-]+)')
_BRANCHES = re.compile(r'branch_computations=\{([^}]*)\}')
_TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CYCLES = re.compile(r'"estimated_cycles":"(-?\d+)"')
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_GROUPS = re.compile(
    r'replica_groups=(\{\{[^=]*?\}\}|\[[^ ]*?\]<=\[[^ ]*|mesh\[[^\]]*\] \{[^}]*\})')


class Array(NamedTuple):
  """One array of an instruction's result.

  Attributes:
    type: of an element, e.g. 'bf16'.
    shape: its dimensions.
    space: number of the memory it is in: 0 is HBM, 1 the vector memory (VMEM); others hold scalars
      and flags.
    num_bytes: what it takes there, whole tiles.
  """
  type: str
  shape: tuple[int, ...]
  space: int
  num_bytes: int


class Instruction(NamedTuple):
  """One operation.

  Attributes:
    name: unique in its computation.
    opcode: e.g. 'fusion'.
    arrays: of the result; several for a tuple, nested ones one after the other.
    operands: names of instructions of the same computation.
    called: names of computations: of a loop its condition and body, of a fusion what it fuses.
    trip_count: how often a loop runs; None if the compiler does not know.
    cycles: what the compiler expects it to take; None if it says nothing.
    op_name: where it comes from in the traced program.
    number: of a parameter, which one it is; of a whole constant, its value; -1 for others.
    target: of a custom call, what is called.
    num_peers: devices that take part in a collective operation; 0 for others or if all do.
  """
  name: str
  opcode: str
  arrays: tuple[Array, ...]
  operands: tuple[str, ...]
  called: tuple[str, ...]
  trip_count: int | None
  cycles: int | None
  op_name: str
  number: int
  target: str
  num_peers: int


class Module(NamedTuple):
  """A program: {name of a computation: its instructions}, and the name of its entry."""
  computations: dict[str, list[Instruction]]
  entry: str


def array_bytes(element, shape, layout):
  """Computes the bytes of an array in memory.

  Args:
    element: type of an element, e.g. 'f32'.
    shape: tuple of ints.
    layout: what HLO writes behind the shape, e.g. '1,0:T(8,128)(2,1)S(1)': the dimensions from the
      fastest varying to the slowest, and the tiles; '' for none.

  Returns:
    int; dimensions are filled up to whole tiles.
  """
  order, _, attributes = layout.partition(':')
  tile = re.match(r'T\(([0-9,]+)\)', attributes)
  if order:
    shape = [shape[int(i)] for i in reversed(order.split(','))]
  sizes = [1] + list(shape)
  if tile:
    tile = [int(size) for size in tile[1].split(',')]
    sizes = [1] * (len(tile) - len(sizes)) + sizes
    for i, size in enumerate(reversed(tile), 1):
      sizes[-i] = -(-sizes[-i] // size) * size
  return math.prod(sizes) * _element_bits(element) // 8


def _element_bits(element):
  if element in _BITS:
    return _BITS[element]
  return int(re.search(r'\d+', element)[0])  # bf16, f8e4m3, s32, c64: the number is the size.


def parse(text):
  """Reads a module.

  Args:
    text: what `jax.stages.Compiled.as_text` returns for a TPU.

  Returns:
    `Module`.

  Raises:
    ValueError: if there is no entry computation.
  """
  computations, entry, current = {}, None, None
  for line in text.splitlines():
    if line.startswith(('%', 'ENTRY')) and line.rstrip().endswith('{'):
      name = _NAME.search(line)[1]
      current = computations.setdefault(name, [])
      if line.startswith('ENTRY'):
        entry = name
    elif current is not None and (match := _INSTRUCTION.match(line)):
      current.append(_instruction(match['name'], line[match.end():]))
  if entry is None:
    raise ValueError('no ENTRY computation in the HLO text; expected an optimized module.')
  return Module(computations, entry)


def _instruction(name, line):
  result_end = _matching(line, 0) if line.startswith('(') else line.index(' ')
  opcode = _OPCODE.match(line, result_end)
  operands_end = _matching(line, opcode.end() - 1)
  rest = line[operands_end:]
  called = _CALLED.findall(rest)
  if branches := _BRANCHES.search(rest):
    called += _NAME.findall(branches[1])
  trip_count, cycles, op_name = (r.search(rest) for r in (_TRIP_COUNT, _CYCLES, _OP_NAME))
  kind = opcode[1].removesuffix('-start')
  inside = line[opcode.end():operands_end - 1]
  target = _TARGET.search(rest)
  return Instruction(
      name, opcode[1], tuple(_arrays(line[:result_end])),
      tuple(_NAME.findall(inside)), tuple(called),
      int(trip_count[1]) if trip_count else None, int(cycles[1]) if cycles else None,
      op_name[1] if op_name else '',
      int(inside) if kind in ('parameter', 'constant') and inside.isdigit() else -1,
      target[1] if target else '', _num_peers(rest) if kind in _COLLECTIVES else 0)


def _matching(line, start):
  """Index after the parenthesis that closes the one at `start`."""
  depth = 0
  for i in range(start, len(line)):
    depth += {'(': 1, ')': -1}.get(line[i], 0)
    if not depth:
      return i + 1
  raise ValueError(f'unbalanced parentheses: {line[:80]}')


def _arrays(text):
  text = re.sub(r'/\*.*?\*/', '', text)
  for element, shape, layout in _ARRAY.findall(text):
    shape = tuple(int(size.lstrip('<=')) for size in shape.split(',') if size)
    space = re.search(r'S\((\d+)\)', layout)
    yield Array(element, shape, int(space[1]) if space else 0,
                array_bytes(element, shape, layout))


def _num_peers(rest):
  """Devices in a group of a collective operation; 0 if it is not said or all of them."""
  match = _GROUPS.search(rest)
  if not match:
    return 0
  groups = match[1]
  if groups.startswith('{{'):
    return len(groups[2:].split('}')[0].split(','))
  if groups.startswith('mesh'):  # mesh['data'=4,'fsdp'=2] {'fsdp'}
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", groups))
    return math.prod(int(sizes[axis]) for axis in re.findall(
        r"'(\w+)'", groups[groups.index('{'):]))
  return int(re.match(r'\[\d+,(\d+)\]', groups)[1])


class Cost(NamedTuple):
  """What one operation of the program costs, all its runs together.

  Attributes:
    instruction: the `Instruction`.
    count: how often it runs.
    cycles: expected cycles; 0 if the compiler says nothing.
    hbm_bytes: read from and written to HBM.
  """
  instruction: Instruction
  count: int
  cycles: int
  hbm_bytes: int


def costs(module):
  """Computes the costs of all operations that a device runs, in the order of the schedule.

  Args:
    module: `Module`.

  Returns:
    A list of `Cost`; of a loop or a branch its inner operations, not itself.

  Raises:
    ValueError: for a loop that says nowhere how often it runs.
  """
  return _costs(module, module.entry, 1)


def _costs(module, name, count):
  instructions = module.computations[name]
  by_name = {instruction.name: instruction for instruction in instructions}
  result = []
  for instruction in instructions:
    if instruction.opcode == 'while':
      for part in instruction.called:
        result += _costs(module, part, count * _trip_count(module, instruction))
    elif instruction.opcode == 'conditional':
      branches = [_costs(module, part, count) for part in instruction.called]
      result += max(branches, key=lambda branch: sum(cost.cycles for cost in branch))
    elif instruction.opcode == 'call':
      result += _costs(module, instruction.called[0], count)
    elif instruction.opcode not in _NAMES and not instruction.opcode.endswith('-done'):
      result.append(Cost(instruction, count, count * max(instruction.cycles or 0, 0),
                         count * _hbm_bytes(module, instruction, by_name)))
  return result


def _trip_count(module, loop):
  """How often a loop runs; if the compiler does not say, what it counts to, which is no less."""
  if loop.trip_count is not None:
    return loop.trip_count
  for part in loop.called:
    instructions = {i.name: i for i in module.computations[part]}
    last = module.computations[part][-1]
    if last.opcode == 'compare':
      limits = [instructions[name].number for name in last.operands
                if instructions[name].opcode == 'constant']
      if limits:
        return limits[0]
  raise ValueError(f'{loop.name}: the compiler does not know how often this loop runs, so it '
                   'cannot be counted.')


def _hbm_bytes(module, instruction, by_name):
  if instruction.target == 'ConcatBitcast':  # Parts that were moved one by one are one array now.
    return 0
  if instruction.opcode.endswith('-start') and not collective(instruction):
    # A move. The result: source, target and flags; the smaller of the two is what moves.
    source, target = [array for array in instruction.arrays if array.space != _FLAGS][:2]
    return min(source.num_bytes, target.num_bytes) * (
        (source.space == 0) + (target.space == 0))
  num_bytes = sum(array.num_bytes for array in _results(instruction) if array.space == 0)
  for name in set(instruction.operands):
    operand = sum(array.num_bytes for array in by_name[name].arrays if array.space == 0)
    if operand and instruction.opcode == 'fusion':
      operand = _read_by_fusion(module, instruction, name)
    num_bytes += operand
  return num_bytes


def _read_by_fusion(module, fusion, operand):
  """Bytes that a fusion reads of an operand: if it takes slices of it, only those."""
  body, num_bytes = module.computations[fusion.called[0]], 0
  for parameter in body:
    if parameter.opcode == 'parameter' and fusion.operands[parameter.number] == operand:
      users = [i for i in body if parameter.name in i.operands]
      parts = users if users and all(
          user.opcode in ('slice', 'dynamic-slice', 'gather') and
          user.operands[0] == parameter.name for user in users) else [parameter]
      num_bytes = max(num_bytes, sum(a.num_bytes for part in parts for a in part.arrays))
  return num_bytes


def _results(instruction):
  """The arrays that an operation makes; if it only starts, those that will be there."""
  num_operands = len(instruction.operands)
  if instruction.opcode.endswith('-start') and len(instruction.arrays) > num_operands:
    return instruction.arrays[num_operands:2 * num_operands]  # Before them, the operands once more.
  return instruction.arrays


def collective(instruction):
  """Returns the kind of a collective operation, e.g. 'all-reduce'; '' for other operations."""
  kind = instruction.opcode.removesuffix('-start')
  return kind if kind in _COLLECTIVES else ''


def _collective_in(module, instruction):
  """The collective operation that an instruction is, or a fusion has inside; None without."""
  if collective(instruction):
    return instruction
  if instruction.opcode == 'fusion':
    for inner in module.computations[instruction.called[0]]:
      if collective(inner):
        return inner
  return None


class Transfer(NamedTuple):
  """A collective operation, all its runs together.

  Attributes:
    kind: e.g. 'all-reduce'.
    count: how often it runs.
    num_bytes: of the array that is reduced, gathered or exchanged, of all runs; without padding
      other than the tiles'.
    sent_bytes: what a device sends if the devices of a group form a ring.
    hidden_cycles: expected cycles of what is computed between its start and its end; 0 if nothing
      is.
  """
  kind: str
  count: int
  num_bytes: int
  sent_bytes: float
  hidden_cycles: int


def transfers(module, num_devices):
  """Lists the collective operations.

  Args:
    module: `Module`.
    num_devices: that run the program.

  Returns:
    A list of `Transfer`, in the order of the schedule.
  """
  return _transfers(module, module.entry, 1, num_devices)


def _transfers(module, name, count, num_devices):
  instructions = module.computations[name]
  result = []
  for i, instruction in enumerate(instructions):
    if instruction.opcode in ('while', 'call', 'conditional'):
      for part in instruction.called:
        times = _trip_count(module, instruction) if instruction.opcode == 'while' else 1
        result += _transfers(module, part, count * times, num_devices)
    inner = _collective_in(module, instruction)
    if inner is None:
      continue
    kind = collective(inner)
    if kind == 'all-reduce' and instruction.called[0].startswith('all-reduce-scatter'):
      kind = 'reduce-scatter'  # Each device keeps its part of the sum.
    peers = inner.num_peers or num_devices
    if peers == 1:
      continue
    hidden = 0
    if instruction.opcode.endswith('-start'):
      for other in instructions[i + 1:]:
        if instruction.name in other.operands:
          break
        hidden += max(other.cycles or 0, 0)
    elif instruction.opcode == 'fusion':  # It computes something else at the same time.
      hidden = max(instruction.cycles or 0, 0)
    num_bytes = sum(array.num_bytes for array in _results(instruction))
    if kind == 'reduce-scatter':  # The result is a device's part of what is reduced.
      num_bytes *= peers
    times = {'all-reduce': 2 * (peers - 1) / peers, 'collective-permute': 1.}.get(
        kind, (peers - 1) / peers)
    result.append(Transfer(kind, count, count * num_bytes, count * num_bytes * times,
                           count * hidden))
  return result
