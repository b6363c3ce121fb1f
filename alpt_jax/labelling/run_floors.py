"""Puts a run's labels between floors and ceiling, and says whether its agent looks.

The dict, format 2, which `experiments.floors` writes to floors.json. A mean is a `floors.Mean`:
{value, low, high, num_transitions, num_episodes}. What cannot be known is {'unknown': why}.

  format, run, method, environment
  labels      None if the run has no IDM. Of hidden transitions of the target:
    step             updates after which these labels were given
    most_frequent    {action, share} of the labels
    is_constant      whether that share is above `floors.CONSTANT_SHARE`; then nothing follows
    accuracy         mean
    floors           see `label_floors.judge`, on the same transitions: num_labels, majority, table,
                     linear, best, margin
    causal           mean of the labels of an IDM that sees the past only; or unknown
    random_draws     mean over the steps whose action was drawn at random; or unknown
    ceiling          {expected, realised}: means, see `recording_ceiling`; or unknown, with
                     `agreement`, a mean, if two people have labelled the same steps
    above_floor      (accuracy - highest floor) / (ceiling - highest floor), where the ceiling is
                     the higher of its two values; or unknown
    voted            None, or {accuracy, floors} where all windows vote, see `voted_labels`: of
                     other transitions, and of the newest checkpoint
  agent       None if the run has no DT, unknown if episodes are too short; see
              `measures.blindness`:
    step, is_held_out, loss, exchanged_loss, rise, num_windows
    by_loss          whether it is blind by its loss; None if that cannot be told
    by_score         {score, low, high, exchanged_score, is_blind, num_games, drop_low,
                     drop_high, delay}; or unknown
    is_blind         by either of them; None if it is blind by none and one cannot be told
  as_labeller  None, or of a run without an IDM, labels that its DT gives, see `dt_labels`:
    step             updates after which they were given
    most_frequent    {action, share} of them
    is_constant      as in `labels`
    accuracy, floors as in `labels`, on the transitions of `voted` of an IDM with the same labels
  scores      None if the run plays no Atari game; else what agents score that look at nothing, by
              the run's protocol: see `score_floors.in_short`; or unknown
"""

import functools

import numpy as np

from alpt_jax import configs, domains, methods
from alpt_jax.data import records, rlds
from alpt_jax.labelling import (
    blindness,
    dt_labels,
    run_labels,
    trained_idm,
    trained_run,
    voted_labels,
)
from alpt_jax.measures import blindness as blindness_rule
from alpt_jax.measures import floors, label_floors

FORMAT = 2
_NOT_PLAYED = 'agents of its domain do not play with exchanged images'


def measure(directory, *, data_dir='', causal='', held_out_dir='', voted_transitions=0,
            labeller_transitions=0, games=0, seed=0):
  """Measures the floors of a run.

  Args:
    directory: of the run.
    data_dir: where the data is now; '' for where it was in training.
    causal: directory of a run with `model.idm_is_causal` and the same labels; '' for none.
    held_out_dir: data_dir of another recording of the target, for the agent; '' for the episodes of
      the run's own data in which training knew no action. (An agent that was given all actions,
      such as an oracle, has no such episodes: is_held_out is False then.)
    voted_transitions: to label with all windows voting, see `voted_labels.label`; 0 for none.
    labeller_transitions: that the DT labels, of a run without an IDM that was not given all
      actions, see `dt_labels.label`; 0 for none.
    games: that the agent plays with exchanged images; 0 for none. Atari only.
    seed: of draws and bootstraps.

  Returns:
    The dict that the module describes.

  Raises:
    FileNotFoundError, ValueError: for a run or data that is missing, damaged or does not fit.
  """
  config, digests = trained_run.read_config(directory, data_dir=data_dir)
  if domains.of(config).spec(config.target).actions.shape:
    raise ValueError(f'{directory}: actions have several parts, whose floors and ceiling '
                     'experiments.audit measures.')
  phase = methods.phase_of(config.method, config.phase)
  result = {'format': FORMAT, 'run': str(directory), 'method': config.method,
            'environment': config.target, 'labels': None, 'agent': None, 'as_labeller': None,
            'scores': None}
  truth = domains.of(config).read(config.target)
  _check_digest(directory, config, digests)
  if phase.idm:
    result['labels'] = _labels(directory, config, truth, causal, voted_transitions, seed)
  elif causal:
    raise ValueError(f'--causal: method {config.method!r} of {directory} has no IDM to compare '
                     f'{causal} with. Leave it out.')
  method = methods.METHODS[config.method]
  if method.learner == 'alpt' and phase.agent and config.train_dt:
    result['agent'] = _agent(directory, truth, digests, data_dir, held_out_dir, games, seed)
    is_limited = method.is_action_limited and not phase.idm
    if labeller_transitions and is_limited:
      result['as_labeller'] = _as_labeller(directory, config, truth, labeller_transitions, seed)
  if config.train_dt and config.phase != 'pretrain':
    result['scores'] = domains.of(config).score_floors(config.target)
  return result


def _check_digest(directory, config, digests):
  name = config.target
  if name in digests and domains.of(config).digest(name) != digests[name]:
    raise ValueError(f'{config.data_dir}: other data of {name} than {directory} was trained on. '
                     'Give the directory of that data with --data_dir, or train again.')


def _labels(directory, config, truth, causal, voted_transitions, seed):
  """The entry `labels`."""
  domain = domains.of(config)
  spec = domain.spec(config.target)
  path, (episode, timestep, said, true) = _last_labels(directory, truth)
  found = {'step': run_labels.step_of(path)} | _frequency(said, spec.actions.names)
  if found['is_constant']:
    return found
  choice = trained_run.known(directory, config.target, data_dir=config.data_dir).choice
  fitted = label_floors.fit(truth, spec, choice.windows, choice.window)
  found |= {
      'accuracy': floors.mean(said == true, episode, seed=seed)._asdict(),
      'floors': label_floors.judge(fitted, truth, episode, timestep, is_right=said == true,
                                   seed=seed),
      'causal': _causal(directory, config, truth, choice, causal, seed),
      'random_draws': on_random_draws(config, config.target, said == true, episode, timestep,
                                      seed=seed),
      'ceiling': domain.ceiling(config.target),
      'voted': _voted(directory, config, truth, fitted, voted_transitions, seed)}
  return found | {'above_floor': _above_floor(found)}


def _frequency(labels, names):
  """The entries `most_frequent` and `is_constant` of labels [M]; `names` of all A actions."""
  frequent = floors.most_frequent(labels, len(names))
  return {'most_frequent': {'action': names[frequent.action], 'share': frequent.share},
          'is_constant': floors.is_constant(frequent)}


def _voted(directory, config, truth, fitted, num_transitions, seed):
  """The entry `voted`."""
  if not num_transitions:
    return None
  trained = trained_idm.restore(directory, data_dir=config.data_dir)
  episode, timestep, said, true = voted_labels.label(
      trained, truth, num_transitions=num_transitions, seed=seed)
  return {'accuracy': floors.mean(said == true, episode, seed=seed)._asdict(),
          'floors': label_floors.judge(fitted, truth, episode, timestep, seed=seed)}


def _last_labels(directory, truth):
  """The newest label file of a run and what `run_labels.hidden_labels` makes of it."""
  paths = run_labels.files(directory)
  if not paths:
    raise FileNotFoundError(f'{directory}: no labels/step_*.npz; expected a run that has labelled '
                            'its target, which it does at every evaluation. Train it first.')
  hidden = run_labels.hidden_labels(paths[-1], truth)
  if not len(hidden[0]):
    raise ValueError(f'{paths[-1]}: no hidden action is known that it labels; expected recorded '
                     'actions to compare labels with.')
  return paths[-1], hidden


def _causal(directory, config, truth, choice, causal, seed):
  """Accuracy of an IDM that sees the past only and knows the same labels."""
  if not causal:
    return {'unknown': 'no run with model.idm_is_causal was given (--causal)'}
  check_causal(causal, directory, config, choice)
  _, (episode, _, said, true) = _last_labels(causal, truth)
  return floors.mean(said == true, episode, seed=seed)._asdict()


def check_causal(causal, directory, config, choice):
  """Refuses a run that is no floor of another one's labels.

  Args:
    causal: directory of the run whose IDM sees the past only.
    directory: of the run that it is a floor of.
    config: of that run.
    choice: `labels.Choice` of that run's target.

  Raises:
    FileNotFoundError, ValueError: naming what differs.
  """
  other, _ = trained_run.read_config(causal, data_dir=config.data_dir)
  if not other.model.idm_is_causal:
    raise ValueError(f'{causal}: model.idm_is_causal is False; expected True, an IDM that sees the '
                     'past only.')
  if other.target != config.target:
    raise ValueError(f'{causal}: target is {other.target!r}; expected {config.target!r}, that of '
                     f'{directory}.')
  networks = [{key: value for key, value in x.model.to_dict().items()
               if key != 'idm_is_causal' and not key.startswith('dt_')} for x in (config, other)]
  if changes := configs.changes(*networks):
    raise ValueError(f'{causal}: model has other settings than that of {directory} ({changes}); '
                     'expected the same network but for idm_is_causal.')
  theirs = trained_run.known(causal, config.target, data_dir=config.data_dir).choice
  if not np.array_equal(theirs.windows, choice.windows):
    raise ValueError(f'{causal}: has other labels than {directory}; expected the same num_labels '
                     'and label_seed.')


def on_random_draws(config, name, is_right, episode, timestep, *, seed=0):
  """Measures the accuracy on steps whose action was a random draw.

  Args:
    config: of the run.
    name: of the environment.
    is_right: [M] bool.
    episode: [M] int.
    timestep: [M] int.
    seed: of the bootstrap.

  Returns:
    A mean as a dict, or {'unknown': why}.
  """
  domain = domains.of(config)
  marks = _random_draws(tuple(domain.directories(name)), domain.digest(name))
  is_random = None if marks is None else np.array(
      [marks[e][t] for e, t in zip(episode, timestep, strict=True)], bool)
  try:
    return floors.on_random_draws(is_right, episode, is_random, name=name, seed=seed)._asdict()
  except ValueError as error:
    return {'unknown': str(error)}


@functools.lru_cache(maxsize=4)  # The runs of a study ask for the same, and reading takes long.
def _random_draws(directories, digest):
  """List of [L] bool, one for each episode, see `records.random_draws`; None without marks.

  Args:
    directories: tuple of dataset directories.
    digest: of their content, so that other data is read anew.
  """
  del digest
  if any(rlds.RANDOM not in rlds.open_builder(d).info.features['steps'].feature
         for d in directories):
    return None
  return [marks for d in directories for marks in records.random_draws(d)]


def of_audit(config, spec, episodes, choice, predictions, *, seed=0):
  """Measures floors and ceiling for an audit of an environment.

  Args:
    config: of the run.
    spec: the `types.EnvironmentSpec` of the environment.
    episodes: of it, with all known actions.
    choice: `labels.Choice`, what the IDM knew of it; None if it was no target.
    predictions: `audit.Predictions` of it.
    seed: of draws and bootstraps.

  Returns:
    {'floors', 'random_draws', 'ceiling'} as in the module; `floors` is unknown without labels.
  """
  episode, timestep = predictions.episodes, predictions.timesteps
  is_right = predictions.probabilities.argmax(axis=1) == predictions.actions
  found = {'unknown': 'training had no labels of it that a floor could be fitted to'}
  if choice is not None:
    fitted = label_floors.fit(episodes, spec, choice.windows, choice.window)
    found = label_floors.judge(fitted, episodes, episode, timestep, is_right=is_right, seed=seed)
  return {
      'floors': found,
      'random_draws': on_random_draws(config, spec.name, is_right, episode, timestep, seed=seed),
      'ceiling': domains.of(config).ceiling(spec.name)}


def of_past(predictions, past, *, seed=0):
  """Measures the floor of an audit that an IDM is which sees the past only.

  Args:
    predictions: `audit.Predictions` of the IDM that is audited.
    past: the same transitions, by the other one.
    seed: of the bootstrap.

  Returns:
    {'accuracy', 'margin'}: means as dicts; `margin`, by which the labels are above it, is paired by
    transition.
  """
  is_right, is_hit = ((said.probabilities.argmax(axis=1) == predictions.actions).astype(float)
                      for said in (predictions, past))
  return {'accuracy': floors.mean(is_hit, predictions.episodes, seed=seed)._asdict(),
          'margin': floors.mean(is_right - is_hit, predictions.episodes, seed=seed)._asdict()}


def _above_floor(found):
  """How much of what lies between the highest floor and the ceiling labels reach."""
  if 'unknown' in found['ceiling']:
    return found['ceiling']
  highest = max(x['value'] for x in (*(found['floors'][key] for key in (
      'majority', 'table', 'linear')), found['causal']) if x and 'value' in x)
  top = max(found['ceiling'][key]['value'] for key in ('expected', 'realised'))
  if top <= highest:
    return {'unknown': f'the highest floor, {highest:.3f}, is not below the ceiling, {top:.3f}'}
  return (found['accuracy']['value'] - highest) / (top - highest)


def _agent(directory, truth, digests, data_dir, held_out_dir, games, seed):
  """The entry `agent`."""
  trained = blindness.restore(directory, data_dir=data_dir)
  if held_out_dir:
    truth = blindness.other_recording(trained, digests, held_out_dir)
    numbers, is_held_out = np.flatnonzero(truth.num_labelled), True
  else:
    numbers, is_held_out = blindness.held_out(trained, truth, directory)
  try:
    found = blindness.measure(trained, truth, numbers, seed=seed)
  except blindness_rule.TooShortError as error:
    return {'unknown': str(error)}
  by_score = _by_score(trained, directory, games, seed)
  return {'step': trained.step, 'is_held_out': is_held_out} | found._asdict() | {
      'rise': found.rise._asdict(), 'by_loss': found.is_blind, 'by_score': by_score,
      'is_blind': blindness_rule.overall(found.is_blind, by_score.get('is_blind'))}


def _as_labeller(directory, config, truth, num_transitions, seed):
  """The entry `as_labeller`."""
  trained = blindness.restore(directory, data_dir=config.data_dir)
  spec = domains.of(config).spec(config.target)
  episode, timestep, said, true = dt_labels.label(
      trained, truth, directory, num_transitions=num_transitions, seed=seed)
  choice = trained_run.known(directory, config.target, data_dir=config.data_dir).choice
  fitted = label_floors.fit(truth, spec, choice.windows, choice.window)
  return {
      'step': trained.step, **_frequency(said, spec.actions.names),
      'accuracy': floors.mean(said == true, episode, seed=seed)._asdict(),
      'floors': label_floors.judge(fitted, truth, episode, timestep, is_right=said == true,
                                   seed=seed)}


def _by_score(trained, directory, games, seed):
  """The entry `by_score` of an agent."""
  play = domains.of(trained.config).make_delayed_play(trained.dt, games)
  if play is None:
    return {'unknown': _NOT_PLAYED}
  if not games:
    return {'unknown': 'not measured: python -m experiments.floors'}
  found = blindness.measure_score(trained, directory, play, seed=seed)
  return found._asdict() | {'delay': blindness_rule.DELAY}


def sentences(found):
  """Writes what `measure` found as lines of text."""
  return [*_about_labels(found['labels']), *_about_agent(found['agent']),
          *_about_labeller(found.get('as_labeller')), *_about_scores(found['scores'])]


def _about_labels(labels):
  if labels is None:
    return []
  frequent = labels['most_frequent']
  if labels['is_constant']:
    return [f'Labels are constant: {frequent["action"]} in {frequent["share"]:.3f} of them. '
            'Nothing else is computed, and no agent should be trained on them.']
  lines = [f'Labels are right in {_text(labels["accuracy"])}; the most frequent, '
           f'{frequent["action"]}, is {frequent["share"]:.3f} of them.']
  titles = {'majority': 'always the most frequent action', 'table': 'a table of the change',
            'linear': 'a linear map of the change'}
  lines += [f'  floor, {title}: {_text(labels["floors"][key])}'
            for key, title in titles.items() if labels['floors'][key]]
  lines.append(f'  above the highest of these, {titles[labels["floors"]["best"]]}, on the same '
               f'transitions: {_text(labels["floors"]["margin"])}')
  lines += [f'  floor, the past only: {_text(labels["causal"])}',
            f'  on random draws: {_text(labels["random_draws"])}']
  top = labels['ceiling']
  if 'agreement' in top:
    lines.append(f'  bound, two people agree: {_text(top["agreement"])}')
  lines += [f'  ceiling unknown: {top["unknown"]}'] if 'unknown' in top else [
      f'  ceiling, {key}: {_text(top[key])}' for key in top]
  if labels.get('voted'):
    lines.append(f'  all windows voting: {_text(labels["voted"]["accuracy"])}')
  if not isinstance(labels['above_floor'], dict):
    lines.append(f'  of the way from the highest floor to the ceiling: {labels["above_floor"]:.3f}')
  return lines


def _about_agent(agent):
  if agent is None:
    return []
  if 'unknown' in agent:
    return [f'Unknown whether the agent looks: {agent["unknown"]}']
  overall = {True: 'The agent is blind.', False: 'The agent looks.',
             None: 'Cannot tell whether the agent looks.'}[agent['is_blind']]
  words = {True: 'it is blind', False: 'it looks', None: 'cannot tell'}
  held_out = '' if agent['is_held_out'] else ' (of episodes that training knew)'
  by_score = agent['by_score']
  if 'unknown' in by_score:
    text = f'unknown: {by_score["unknown"]}'
  else:
    ends = '' if by_score['low'] is None else f' ({by_score["low"]:.4g} to {by_score["high"]:.4g})'
    text = (f'{words[by_score["is_blind"]]}: with the images of {by_score["delay"]} steps before, '
            f'{by_score["exchanged_score"]:.4g} points instead of {by_score["score"]:.4g}{ends}, '
            f'{by_score["num_games"]} games each')
  return [overall, f'  by its loss, {words[agent["by_loss"]]}: with images of another window of '
          f'the same episode{held_out}, {agent["exchanged_loss"]:.3f} instead of '
          f'{agent["loss"]:.3f} nats, higher by {_text(agent["rise"])}', f'  by its score, {text}']


def _about_labeller(labels):
  if labels is None:
    return []
  frequent, best = labels['most_frequent'], labels['floors']['best']
  return [f'As a labeller of hidden transitions the agent is right in {_text(labels["accuracy"])}; '
          f'its most frequent label, {frequent["action"]}, is {frequent["share"]:.3f} of them.',
          f'  above the floor {best} ({labels["floors"][best]["value"]:.3f}), on the same '
          f'transitions: {_text(labels["floors"]["margin"])}']


def _about_scores(scores):
  if scores is None:
    return []
  if 'unknown' in scores:
    return [f'Scores of agents that look at nothing are unknown: {scores["unknown"]}']
  return ['Agents that look at nothing score: ' + ', '.join(
      f'{name} {about["score"]:.4g}' for name, about in scores['agents'].items()) + '.']


def _text(mean):
  if 'unknown' in mean:
    return f'unknown ({mean["unknown"]})'
  interval = '' if mean['low'] is None else f' ({mean["low"]:.3f} to {mean["high"]:.3f})'
  return f'{mean["value"]:.3f}{interval}'
