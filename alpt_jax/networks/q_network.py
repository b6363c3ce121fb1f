"""The network of the CQL baseline: images to quantiles of the return of every action."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from alpt_jax import types

CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # Features, size, stride.


class QNetwork(nn.Module):
  """The convolutional network of Mnih et al. (2015), quantiles as outputs (Dabney et al., 2018).

  Padding and initialisation are Dopamine's, with which Kumar et al. (2020) trained: 'SAME', and a
  uniform fan-in of scale 1 / sqrt(3).

  Attributes:
    spec: a `types.EnvironmentSpec` of image observations [H, W, C].
    num_quantiles: N.
    stack: frames that it sees at once.
    hidden: width of the last hidden layer.
  """
  spec: types.EnvironmentSpec
  num_quantiles: int = 200
  stack: int = 4
  hidden: int = 512

  @nn.compact
  def __call__(self, observations):
    """Estimates quantiles of the return.

    Args:
      observations: [..., H, W, stack * C] uint8; frames of C channels, the newest last.

    Returns:
      [..., A, N] float32, the quantiles at (i + 1/2) / N. The environment's
      illegal actions have some, too; callers mask them.
    """
    init = nn.initializers.variance_scaling(1 / np.sqrt(3), 'fan_in', 'uniform')
    x = observations.astype(jnp.float32) / 255.
    for i, (features, size, stride) in enumerate(CONVOLUTIONS):
      x = nn.Conv(features, (size, size), (stride, stride), padding='SAME', kernel_init=init,
                  name=f'conv_{i}')(x)
      x = nn.relu(x)
    x = x.reshape(*x.shape[:-3], -1)
    x = nn.relu(nn.Dense(self.hidden, kernel_init=init, name='hidden')(x))
    num_outputs = self.spec.num_actions * self.num_quantiles
    x = nn.Dense(num_outputs, kernel_init=init, name='quantiles')(x)
    return x.reshape(*x.shape[:-1], self.spec.num_actions, self.num_quantiles)
