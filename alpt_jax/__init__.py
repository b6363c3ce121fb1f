"""ALPT in JAX: learn from plentiful observations and few actions (Venuto et al., 2023).

`types.py` names the data, `methods.py` the paper's methods, `learners/alpt.py` the one update that
trains the inverse dynamics model, labels, and trains the decision transformer; `training/train.py`
is the loop.
"""
