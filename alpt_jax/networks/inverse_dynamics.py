"""The inverse dynamics model (IDM): which actions lie between consecutive observations.

The same transformer as the decision transformer's, with tokens, mask and parameters of its own (the
paper writes P_beta and P_theta). Its tokens are observations and one learned query per action: an
all-ones mask over the DT's tokens would show it the actions it must predict.
"""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from alpt_jax import types
from alpt_jax.networks import action_layers, masks, tokens, transformer


class InverseDynamicsModel(nn.Module):
  """P_beta(a_t .. a_{t+T-1} | o_t .. o_{t+T}) (eq. 4 of the paper).

  Attributes:
    spec: declares the observation and the action space.
    num_layers, num_heads, d_model, dropout: of the transformer.
    patch_size: side of an observation patch; 0 for one token per observation.
    vector_bins: bins of vector observations; see `tokens.VectorTokenizer`.
    change_tokens: embed changes of observations, too; see `tokens.PatchTokenizer`.
    tokenizer_kind: one of `tokens.TOKENIZERS`.
    dtype: of the computation, float32 or bfloat16; parameters and logits are float32.
    places: False for a model that learns few windows not by heart; see `tokens.make_tokenizer`.
    is_causal: an ablation: each action is predicted from o_t .. o_{t+i} only, which makes the model
      a behaviour cloner.
  """
  spec: types.EnvironmentSpec
  num_layers: int
  num_heads: int
  d_model: int
  dropout: float = 0.
  patch_size: int = 0
  vector_bins: int = 0
  change_tokens: bool = False
  tokenizer_kind: str = 'patch'
  dtype: jnp.dtype = jnp.float32
  places: bool = True
  is_causal: bool = False

  def setup(self):
    self.tokenizer = tokens.tokenizer_of(self, places=self.places)

  def tokenize(self, observations, before):
    """Embeds frames, each by itself, for windows that share them.

    Args:
      observations: [B, T, ...], for any T.
      before: the frame before each, of the same shape; of frames that windows begin with, those
        frames themselves.

    Returns:
      [B, T, P, D].
    """
    return self.tokenizer.embed_frames(observations, before)

  @nn.compact
  def __call__(self, observations, *, deterministic=True, rows=None, is_tokenized=False):
    """Predicts the actions between consecutive observations.

    Args:
      observations: [B, T + 1, ...] as the spec declares.
      deterministic: False to apply dropout (needs a 'dropout' rng).
      rows: [B] int32 numbers of the windows, for dropout; see `transformer.drop`.
      is_tokenized: `observations` are [B, T + 1, P, D], what `tokenize` made of them; each first
        frame must have been embedded as one that a window begins with.

    Returns:
      [B, T, A] float32 logits.
    """
    x_BTPD = observations if is_tokenized else self.tokenizer(observations)
    b, num_frames, p, d = x_BTPD.shape
    num_actions = num_frames - 1
    query_D = self.param('query', tokens.EMBEDDING_INIT, (d,))
    queries_BTD = jnp.broadcast_to(query_D.astype(x_BTPD.dtype), (b, num_actions, d))
    x_BSD = jnp.concatenate([x_BTPD.reshape(b, num_frames * p, d), queries_BTD], axis=1)
    num_tokens = num_frames * p + num_actions
    x_BSD = tokens.Position(num_tokens, name='position')(x_BSD)
    mask_SS = masks.all_ones(num_tokens)
    if self.is_causal:  # Frame f and query i belong to times f and i; nothing sees a later time.
      time = np.concatenate([np.repeat(np.arange(num_frames), p), np.arange(num_actions)])
      mask_SS = mask_SS & (time[None, :] <= time[:, None])
    read = np.arange(num_frames * p, num_tokens)
    out_BTD, _ = transformer.Transformer(
        self.num_layers, self.num_heads, self.dropout, self.dtype, name='transformer')(
            x_BSD, mask_SS, deterministic=deterministic, rows=rows, read=read)
    return action_layers.output(self.spec.actions, name='action_head')(out_BTD)
