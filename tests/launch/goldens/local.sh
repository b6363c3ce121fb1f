# run alpt, in /repository
python -m experiments.reproduce --config=experiments/configs/maze.py:study --config.workdir=runs/alpt
