"""Layers by which actions enter and leave the networks, by the kind of their `action_space`.

What their inputs and outputs mean, an action head says; see `learners.action_heads`.
"""

from flax import linen as nn

from alpt_jax.networks import tokens


def embedding(space, d_model):
  """Makes the embedding of action tokens: the ids, and `space.num` for one that is not known."""
  return nn.Embed(space.num + 1, d_model, embedding_init=tokens.EMBEDDING_INIT)


def output(space, **options):
  """Makes the layer that predicts actions: [..., D] -> [..., A] float32 logits."""
  return nn.Dense(space.num, **options)
