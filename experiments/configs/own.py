"""Data of your own.

python -m experiments.collect import --config=experiments/configs/own.py \\
    --config.import_.kind=videos --config.import_.from_dir=clips \\
    --config.import_.environment=breakout.json
"""

import ml_collections


def get_config(preset=''):
  """Returns the ConfigDict."""
  if preset:
    raise ValueError(f'Unknown preset {preset!r}; expected none.')
  config = ml_collections.ConfigDict()
  config.data_dir = 'runs/own/data'  # One TFDS directory per environment, named after it.

  config.import_ = dict(
      kind='rlds',  # 'rlds', 'minari', 'dopamine', 'videos', 'images'; see alpt_jax/data/import_*.
      from_dir='',  # What is to be brought in.
      environment='',  # The file that describes it; '': environment.json in from_dir.
      to_dir='',  # '': data_dir/<name of the environment>.
      frame_skip=1,  # Of videos and images, every how manyth is kept.
      window=5,  # Episodes with fewer transitions are left out.
      max_blank=.5,  # Episodes with a larger share of images of one colour are left out.
      on_problem='error',  # 'skip' leaves out what is damaged, and lists it on the dataset card.
  )
  return config
