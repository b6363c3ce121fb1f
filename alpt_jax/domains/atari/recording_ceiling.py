"""Measures the ceiling of label accuracy of an Atari recording, by playing it again.

The emulators of a recording are started with its seeds and given its actions. At some of its steps
`ceiling` says how probable each action was, given the two observations that followed; a
guesser that knows the emulator's state and, of the policy, only how frequent each action is, does
best if it names the most probable one. `expected` is what it then counts on, `realised` how often
it was right. The two differ as a policy's actions depend on the state: a policy seldom does at
random what it would not do. The larger is the one to compare labels with. It is a reference by
enumeration and no bound: an IDM that sees its whole window may know more of the policy and pass it.

A ceiling file, kind 'ceiling', see `measure_files`; shares are in [0, 1] and have value, low, high,
num_transitions and num_episodes, see `floors.Mean`:

  expected     mean probability of the most probable action: the ceiling
  realised     share of steps at which that was the action that was taken
  ambiguous    share of steps at which more than one action is possible
  actions      list of {name, prior, num_transitions, realised, expected}, by minimal action;
               `expected` is the mean probability that a step with it is labelled so; both are None
               where no step had it
  versions     {package: version}
"""

import os

import numpy as np

from alpt_jax.data import measure_files, rlds
from alpt_jax.domains.atari import action_sets
from alpt_jax.files import versions
from alpt_jax.measures import floors

FILE = 'ceiling.json'
NUM_STEPS = 600
_POSSIBLE = 1e-9


def path_of(directory, output=''):
  """Returns the path of a dataset's ceiling: beside the data, in `output`, or that if JSON."""
  return output if output.endswith('.json') else os.path.join(output or directory, FILE)


def protocol_of(card, *, num_steps=NUM_STEPS, seed=0):
  """Returns what a ceiling depends on beside the data, from its card."""
  # The emulator, which reading a ceiling does not need.
  from alpt_jax.domains.atari import env as atari

  return {'frame_skip': atari.FRAME_SKIP, 'sticky': card['metadata']['sticky'], 'looks_ahead': 2,
          'num_steps': num_steps, 'seed': seed}


def check_card(directory):
  """Reads the card of a recording that can be played again.

  Raises:
    ValueError: if it was not recorded here.
  """
  card = rlds.read_card(directory)
  metadata = (card or {}).get('metadata') or {}
  if not {'seed', 'run', 'sticky', 'max_episode_steps'} <= metadata.keys():
    raise ValueError(f'{directory}: has no {rlds.CARD} that says how it was played, so it cannot '
                     'be played again; expected a recording of experiments.collect with '
                     'collect.origin play. The ceiling of this data is unknown.')
  return card


def measure(directory, episodes, *, num_steps=NUM_STEPS, seed=0, output='', progress=None):
  """Measures the ceiling of a recording, or reads it if that was done before.

  Args:
    directory: of the dataset.
    episodes: its `episode_files.EpisodeFiles`, with all actions.
    num_steps: transitions to try, drawn at random; all if there are fewer.
    seed: of the draw and of the bootstrap.
    output: directory of the file, or a .json; '' for beside the data. What was measured in the same
      way lies beside the data, perhaps, and is copied.
    progress: called with the number of transitions played again, or None.

  Returns:
    The dict that the module describes, with format, kind, digest and protocol.

  Raises:
    ValueError: if the data was not recorded here or plays otherwise than it was recorded, or if
      there is a ceiling of other data.
  """
  if num_steps < 1:
    raise ValueError(f'num_steps is {num_steps}; expected at least 1.')
  card, path = check_card(directory), path_of(directory, output)
  about = dict(digest=episodes.digest, protocol=protocol_of(card, num_steps=num_steps, seed=seed))
  found = measure_files.read(path, 'ceiling', **about)
  if found is None:
    content = _measured_before(path_of(directory), **about) or _measure(
        directory, card, episodes, num_steps, seed, progress)
    measure_files.write(path, 'ceiling', content=content, **about)
    found = measure_files.read(path, 'ceiling', **about)
  return found


def _measured_before(path, *, digest, protocol):
  """The content of a ceiling file of this data and protocol; None if there is no such file."""
  found = measure_files.open_file(path) if os.path.exists(path) else {}
  if (found.get('digest'), found.get('protocol')) != (digest, protocol):
    return None
  found = measure_files.read(path, 'ceiling', digest=digest, protocol=protocol)
  return {key: value for key, value in found.items() if key not in measure_files.HEAD}


def known(directory, episodes, *, output=''):
  """Reads the ceiling of a recording.

  Args:
    directory: of the dataset.
    episodes: its `episode_files.EpisodeFiles`.
    output: as in `measure`.

  Returns:
    As `measure`, of any number of steps; None if it was not measured.

  Raises:
    ValueError: if there is a ceiling of other data.
  """
  path = path_of(directory, output)
  if not os.path.exists(path):
    return None
  card = check_card(directory)
  drawn = measure_files.open_file(path)['protocol']
  return measure_files.read(path, 'ceiling', digest=episodes.digest,
                            protocol=drawn | {'sticky': card['metadata']['sticky']})


def _measure(directory, card, episodes, num_steps, seed, progress):
  """The content of a ceiling file."""
  from alpt_jax.domains.atari import ceiling

  minimal = action_sets.MINIMAL_ACTIONS[card['name']]
  actions = [_minimal(directory, minimal, episodes, e) for e in range(episodes.num_episodes)]
  prior = np.bincount(np.concatenate(actions), minlength=len(minimal)) / sum(map(len, actions))
  drawn = _draw([len(x) for x in actions], num_steps, seed)
  posteriors, taken, numbers = [], [], []
  for env, episode, timestep, seen in _replay(
      directory, card, episodes, actions, drawn, progress):
    posteriors.append(
        ceiling.posterior(env, seen, prior, sticky=card['metadata']['sticky']))
    taken.append(actions[episode][timestep])
    numbers.append(episode)
  return summarise(np.array(posteriors), np.array(taken), np.array(numbers), prior,
                   [action_sets.ACTION_NAMES[a] for a in minimal], seed=seed) | {
                       'versions': versions.current()}


def summarise(posteriors, taken, episodes, prior, names, *, seed=0):
  """Sums up what is left of the actions at M steps.

  Args:
    posteriors: [M, A] float; rows sum to 1.
    taken: [M] int; the true action.
    episodes: [M] int.
    prior: [A] float.
    names: of the A actions.
    seed: of the bootstrap.

  Returns:
    The dict that the module describes, without versions.
  """
  guesses = posteriors.argmax(axis=1)
  share = lambda x: floors.mean(x, episodes, seed=seed)._asdict()  # noqa: E731
  rows = []
  for a, name in enumerate(names):
    is_taken = taken == a
    weight = posteriors[:, a].sum()
    rows.append({
        'name': name, 'prior': float(prior[a]), 'num_transitions': int(is_taken.sum()),
        'realised': float(np.mean(guesses[is_taken] == a)) if is_taken.any() else None,
        'expected': float(posteriors[guesses == a, a].sum() / weight) if weight else None})
  return {'expected': share(posteriors.max(axis=1)), 'realised': share(guesses == taken),
          'ambiguous': share((posteriors > _POSSIBLE).sum(axis=1) > 1), 'actions': rows}


def _minimal(directory, minimal, episodes, episode):
  """[L] int; the actions of an episode as indices into the minimal set."""
  actions, is_known = episodes.actions_of(episode)
  if not is_known.all():
    raise ValueError(f'{directory}: {np.sum(~is_known)} actions of episode {episode} are unknown; '
                     'expected all, as in a recording. The ceiling of this data is unknown.')
  return np.searchsorted(minimal, actions)


def _draw(lengths, num_steps, seed):
  """{episode: timesteps, rising} of a sample of all transitions."""
  first = np.cumsum([0, *lengths])
  rng = np.random.default_rng(seed)
  places = np.sort(rng.choice(first[-1], min(num_steps, int(first[-1])), replace=False))
  episode = np.searchsorted(first, places, side='right') - 1
  return {int(e): (places[episode == e] - first[e]).tolist() for e in np.unique(episode)}


def _replay(directory, card, episodes, actions, drawn, progress):
  """Plays a recording again.

  Yields:
    At each drawn step: the `atari.Atari` before it, episode, timestep, and the next one or two
    `dm_env.TimeStep`.
  """
  from alpt_jax.domains.atari import env as atari
  from alpt_jax.domains.atari import record

  metadata, played = card['metadata'], 0
  checkpoints = card['checkpoints']
  seeds = record.checkpoint_seeds(
      card['name'], metadata['run'], seed=metadata['seed'], num_checkpoints=len(checkpoints))
  checkpoint = np.repeat(np.arange(len(checkpoints)), [c['num_episodes'] for c in checkpoints])
  last = max(drawn)
  for episode, number in enumerate(checkpoint[:last + 1].tolist()):
    if not episode or number != checkpoint[episode - 1]:
      env = atari.make(card['name'], seeds[number][0], sticky=metadata['sticky'],
                       max_steps=metadata['max_episode_steps'])
    states, timesteps = {}, [env.reset()]
    for t, action in enumerate(actions[episode].tolist()):
      if t in drawn.get(episode, ()):
        states[t] = env.clone()
      timesteps.append(env.step(action))
    played += len(actions[episode])
    end = env.clone()
    for t, state in states.items():
      seen = timesteps[t:t + 3]
      _check_frames(directory, episodes, episode, t, seen)
      env.restore(state)
      yield env, episode, t, seen[1:]
    env.restore(end)
    if progress is not None:
      progress(played)


def _check_frames(directory, episodes, episode, t, timesteps):
  """Refuses data that plays otherwise than it was recorded."""
  frames = episodes.frames(episode, t, t + len(timesteps))
  if not all(map(np.array_equal, frames, (x.observation for x in timesteps))):
    raise ValueError(f'{directory}: step {t} of episode {episode} does not look as when it is '
                     'played again; expected the same emulator and settings as in the recording '
                     f'({rlds.CARD}). Record the data again.')
