"""Labellings made by hand, for tests of what checks and shows them."""

import base64

import cv2
import numpy as np

ACTIONS = ('NOOP', 'FIRE', 'RIGHT', 'LEFT')


def strip(num_frames, width=84, height=84):
  """Base64 of a grey PNG; each frame is a ramp with a bright bar of its own height."""
  frames = np.tile(np.linspace(0, 120, width, dtype=np.uint8), (height, num_frames))
  for i in range(num_frames):
    frames[height * i // num_frames:, i * width + width // 3:i * width + width // 2] = 220
  return base64.b64encode(cv2.imencode('.png', frames)[1]).decode()


def make_example(true, predicted, confidence=None, known=(), episode=0, start=0, returns=None):
  """An example; `known` are the steps whose true action training was given."""
  return dict(
      episode=episode, start=start, strip=strip(len(true) + 1), frame_width=84, frame_height=84,
      true=list(true), predicted=list(predicted), confidence=confidence,
      was_labelled=[t in known for t in range(len(true))], return_to_go=returns)


def make_labelling(label='ALPT', actions=ACTIONS, seed=0):
  """Eight of ten right: NOOP 5 of 6, FIRE 3 of 3, RIGHT 0 of 1, LEFT does not occur.

  Its examples, in this order: two wrong; none wrong; one wrong of which it is sure; one wrong of
  which it is less sure. The wrong one of the second was known to training.
  """
  confusion = np.zeros((len(actions), len(actions)), int)
  confusion[:3, :3] = [[5, 0, 1], [0, 3, 0], [1, 0, 0]]
  last = len(actions) - 1
  return dict(
      run=f'labels-{label}-seed{seed}', method=label.lower(), label=label, target='Breakout',
      seed=seed, step=600, num_hidden=10, actions=list(actions), confusion=confusion.tolist(),
      examples=[
          make_example([0, last, 1], [1, 2, 1], [.9, .9, .9], episode=2, start=40,
                       returns=[3., 2., 2.]),
          make_example([0, 1, 1], [0, 1, 2], [.5, .7, .1], known=(2,), episode=1, start=7,
                       returns=[1234.5, .25, 0.]),
          make_example([0, 0, 1], [0, 2, 1], [.9, .8, 1.], episode=0, start=90,
                       returns=[-1., -1., -2.]),
          make_example([0, 0, 1], [0, 2, 1], [.8, .7, .9], episode=0, start=11,
                       returns=[0., 0., 0.])])
