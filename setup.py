"""Installs alpt_jax. requirements.txt has the exact versions that are tested together."""

import setuptools

_CORE = ['absl-py', 'array-record', 'av>=18', 'chex', 'deflate', 'dm-env', 'flax>=0.12',
         'jax>=0.10', 'markupsafe>=3', 'matplotlib', 'ml-collections', 'numpy>=2',
         'opencv-python-headless', 'optax', 'orbax-checkpoint>=0.12.8,<0.13', 'protobuf',
         'scipy>=1.15', 'tensorboardX>=2.6.5', 'tensorflow-datasets>=4.9.10', 'tqdm',
         'importlib_resources']

setuptools.setup(
    name='alpt_jax',
    version='0.2.0',
    description='Learning to act from action-limited data (ALPT) in JAX.',
    license='Apache-2.0',
    python_requires='>=3.11',
    classifiers=[  # Those that are tested; `make` takes no other.
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
    ],
    packages=setuptools.find_packages(include=['alpt_jax', 'alpt_jax.*', 'experiments',
                                               'experiments.*', 'launch', 'launch.*']),
    package_data={'launch': ['*.sh'], 'launch.targets': ['*.sbatch']},
    install_requires=_CORE,
    extras_require={
        # To convert datasets in TFRecord files, e.g. those of RL Unplugged.
        'tensorflow': ['tensorflow-cpu'],
        # To record through it, which dataset=rlu_atari does; Python 3.11 only: no later wheels.
        'envlogger': ['envlogger==1.2', 'tensorflow-cpu'],
        # The emulator is GPL-2.0.
        'atari': ['ale-py', 'gymnasium'],
        # The game with its scenarios; MIT, on top of an engine of several licences.
        'doom': ['vizdoom>=1.3.2'],
        # To import its datasets; reads them for experiments.collect import.
        'minari': ['minari[hdf5]>=0.5.4'],
        'tpu': ['jax[tpu]'],
        # For --config.wandb_project only. No earlier version was tried; login() must know `prompt`.
        'wandb': ['wandb>=0.31'],
        'test': ['pytest', 'pytest-timeout', 'pytest-xdist', 'ruff', 'selenium'],
        # To compare speed with: a GPT-2 in experiments/benchmark.py, readers in
        # experiments/loading.py.
        'benchmark': ['torch==2.13.0', 'transformers==5.23.0', 'rlds==0.1.6', 'tensorflow-cpu'],
    })
