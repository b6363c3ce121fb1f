"""Jobs: programs that can be run anywhere, with a config, by their name for --job.

A run gets `--config.workdir`, and what is given after `--` changes a job as on any command line.
"""

import dataclasses

# These configs take the target as argument, as it decides about sources and rows, too.
TAKE_TARGET_AS_ARGUMENT = ('experiments/configs/atari.py',)
DEFAULT_PROGRAM = 'experiments.train'


@dataclasses.dataclass(frozen=True)
class Job:
  """A program and its arguments.

  Attributes:
    program: module, run by `python -m`.
    args: flags; the program's own defaults hold for the rest.
    needs: flags that the user must give.
  """
  program: str
  args: tuple[str, ...]
  needs: tuple[str, ...] = ()


_MAZE, _ATARI = '--config=experiments/configs/maze.py', '--config=experiments/configs/atari.py'

JOBS = {
    # One run on mazes; and figure 5(b), whole.
    'maze': Job(DEFAULT_PROGRAM, (f'{_MAZE}:desk',)),
    'maze_paper': Job(DEFAULT_PROGRAM, (f'{_MAZE}:paper',)),
    'maze_study': Job('experiments.reproduce', (f'{_MAZE}:study',)),
    # The paper's Atari: one pretraining, then a finetuning for every target.
    'atari_pretrain': Job(DEFAULT_PROGRAM, (f'{_ATARI}:paper,phase=pretrain',)),
    'atari_finetune': Job(DEFAULT_PROGRAM, (f'{_ATARI}:paper,phase=finetune',),
                          needs=('--config.init_from',)),
    'alpt9_pretrain': Job(DEFAULT_PROGRAM, (f'{_ATARI}:paper,setting=alpt9,phase=pretrain',)),
    'alpt36_pretrain': Job(DEFAULT_PROGRAM, (f'{_ATARI}:paper,setting=alpt36,phase=pretrain',)),
    'atari_study': Job('experiments.reproduce', (f'{_ATARI}:study',)),
}
