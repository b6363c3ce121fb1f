"""Words the findings of an audit: a headline on accuracy, and warnings.

All of it follows from the numbers of `audit` by rules that are written here; their thresholds are
our choice. A kind of warning is one of KINDS.
"""

KINDS = (
    'constant',  # Nearly all labels are one action.
    'floor',  # Not clearly better than the best labels that need no IDM.
    'majority',  # Not clearly better than always saying the most frequent action.
    'lag',  # Labels sit at the wrong transition, or may.
    'collapse',  # Actions that occur are never said.
    'calibration',  # Confidence is not the share of right labels.
    'speed',  # Time passes otherwise than in the data of training, or nobody knows.
    'episodes',  # Too few of them.
    'known')  # Training knew these actions, or others of the same episodes.
FEWEST_EPISODES = 8  # As in `lag.lag_test`; with fewer, intervals are too narrow.
_SUSPICIOUS_GAIN = .25  # Of a lag, where episodes are too few to test it; guesses gain .1 there.
_LARGEST_ERROR = .05  # Of calibration.
_SMALLEST_SHARE = .01  # Of an action that is missed if it is never said.
MORE = 'hold out, label by hand or record more of them'  # Where there are no more to audit.


def percent(x):
  """Formats a share as '83 %'; more digits near the ends, 100 % only if it is exactly that."""
  if x in (0, 1) or .1 <= x <= .9:
    return f'{100 * x:.0f} %'
  return f'{min(max(100 * x, .1), 99.9):.1f} %'


def share(estimate):
  """Formats {value, low, high} as '83 % (79–87)'."""
  if estimate['low'] is None:
    return percent(estimate['value'])
  low, high = (percent(estimate[key]).removesuffix(' %') for key in ('low', 'high'))
  return f'{percent(estimate["value"])} ({low}–{high})'


def is_independent(environment):
  """Returns whether training did not know the actions of an entry of `environments`."""
  return environment['kind'] != 'trained on'


def _episodes(environment):
  n = environment['num_episodes']
  held_out = 'held-out ' * (environment['kind'] == 'held out')
  never_seen = ', which training never saw' * (environment['kind'] == 'never seen')
  return f'{n:,} {held_out}episode{"s" * (n != 1)} of {environment["name"]}{never_seen}'


def headlines(audit):
  """Writes a sentence for each environment whose actions training did not know.

  Args:
    audit: the dict that `audit` describes; its headlines and warnings are not read.

  Returns:
    List of str; if there is no such environment, one sentence that says so.
  """
  found = [_headline(environment) for environment in audit['environments']
           if is_independent(environment)]
  return found or ['Nothing here was held out: training knew all of these actions, so nothing can '
                   'be said about labels of new data.']


def _headline(environment):
  hidden = 'hidden ' * (environment['kind'] == 'hidden')
  return (f'Labels are right in {share(environment["accuracy"])} of '
          f'{environment["num_transitions"]:,} {hidden}transitions of {_episodes(environment)}; '
          f'{_references(environment)}.')


def _references(environment):
  """What labels score that need no IDM, the best floor first."""
  baselines, (name, found, _) = environment['baselines'], _best_floor(environment)
  majority = (f'the most frequent action ({baselines["majority"]}) in '
              f'{percent(baselines["majority_accuracy"])}')
  said = [majority]
  if name in _FLOORS:
    floor = f'{_FLOORS[name]}, {_NOTES[name]}, in {percent(found["value"])}'
    is_higher = found['value'] >= baselines['majority_accuracy']
    said = [floor, majority] if is_higher else [majority, floor]
  if baselines['no_op'] not in (None, baselines['majority']):
    said.append(f'always {baselines["no_op"]} in {percent(baselines["no_op_accuracy"])}')
  if name is None:
    fitted = (environment['floors'] or {}).get('floors') or {}
    said.append('no other floor was measured' + (
        f' ({fitted["unknown"]})' if 'unknown' in fitted else ''))
  return ', '.join(said)


def _best_floor(environment):
  """The best floor: its name, mean, and the margin of the labels above it; None without one."""
  found = environment['floors'] or {}
  fitted, past = found.get('floors') or {}, found.get('causal')
  measured = [(name, fitted[name], fitted['margin']) for name in (fitted.get('best'),) if name]
  measured += [('past', past['accuracy'], past['margin'])] if past else []
  return max(measured, key=lambda floor: floor[1]['value'], default=(None, None, None))


def warnings(audit):
  """Lists what to know before trusting the labels.

  Args:
    audit: as in `headlines`.

  Returns:
    List of {kind, environment, text}, by environment, in the order of KINDS.
  """
  found = []
  for environment in audit['environments']:
    # Of labels that training knew, only what cannot be right of any label is said.
    rules = _RULES if is_independent(environment) else {
        kind: _RULES[kind] for kind in ('constant', 'lag', 'collapse', 'known')}
    for kind, rule in rules.items():
      found += [{'kind': kind, 'environment': environment['name'],
                 'text': f'{environment["name"]}: {text}'} for text in rule(environment)]
  return found


def speed_warnings(times):
  """What to know of how fast time passes in the data.

  Args:
    times: {environment: what `trained_idm.check_time` says}.

  Returns:
    As `warnings`; of differences that somebody allowed, and of what was not compared.
  """
  return [{'kind': 'speed', 'environment': name, 'text': f'{text.rstrip(".")}.'}
          for name, found in times.items()
          for text in (*found.get('differences', ()), *found.get('unknown', ()))]


def _constant(environment):
  labels = environment['labels']
  # If all labels are the same, the IDM has collapsed, which another rule says.
  if labels['is_constant'] and labels['share'] < 1:
    yield (f'{percent(labels["share"])} of labels are {labels["most_frequent"]}: they are '
           'constant. Train no agent on them.')


def _floor(environment):
  name, found, margin = _best_floor(environment)
  if name not in _FLOORS:  # `_majority` compares with the most frequent action.
    return
  num_labels = (environment['floors'].get('floors') or {}).get('num_labels')
  fitted = f', fitted to the same {num_labels:,} labels' if num_labels else ''
  what = f'{_FLOORS[name]}{fitted}, which is right in {share(found)}'
  if margin['value'] <= 0:
    yield f'labels are no better than {what}.'
  elif margin['low'] is None:
    yield (f'labels cannot be told to be better than {what}: of one episode, the difference of '
           f'{100 * margin["value"]:.1f} percentage points has no interval.')
  elif margin['low'] <= 0:
    yield f'labels are not clearly better than {what}: {_by(margin)}'


_FLOORS = {'table': 'a table of the change from one observation to the next',
           'linear': 'a linear map of the change from one observation to the next',
           'past': 'an IDM that sees the past only'}
_NOTES = {'table': 'which is no network', 'linear': 'which is no network',
          'past': 'which cannot see what an action did'}


def _by(difference):
  return (f'by {100 * difference["value"]:.1f} percentage points ({100 * difference["low"]:.1f} to '
          f'{100 * difference["high"]:.1f}). Audit more episodes: {MORE}.')


def _majority(environment):
  gain, name = environment['gain'], environment['baselines']['majority']
  if gain['value'] <= 0:
    yield f'labels are no better than always saying {name}.'
  elif gain['low'] is not None and gain['low'] <= 0:
    yield f'labels are not clearly better than always saying {name}: {_by(gain)}'


def lag_of(environment):
  """Yields what is said of the entry `lag` of an environment, or of a part."""
  lag = environment['lag']
  steps = f'{abs(lag["best"])} transition{"s" * (abs(lag["best"]) != 1)}'
  where, then = ('early', 'later') if lag['best'] > 0 else ('late', 'earlier')
  where = f'{steps} too {where}'
  there, here = (percent(lag['accuracy'][lag['shifts'].index(shift)]) for shift in (lag['best'], 0))
  right = f'{there} of them are what was done {steps} {then}, {here} what was done in place'
  if lag['is_shifted']:
    yield (f'labels come {where}: {right} (p = {lag["p_value"]:.2g}). Look for an off-by-one or '
           'another frame skip in how the data was recorded or converted, or in its list of '
           'actions.')
  elif lag['best'] and lag['gain'] >= _SUSPICIOUS_GAIN and lag['num_episodes'] < FEWEST_EPISODES:
    yield (f'labels may come {where}: {right}; {lag["num_episodes"]} episodes are too few to '
           f'tell. Audit {FEWEST_EPISODES} or more: {MORE}.')


def _collapse(environment):
  names, counts = environment['actions'], environment['confusion']
  said = [sum(column) > 0 for column in zip(*counts, strict=True)]
  shares = [sum(row) / environment['num_transitions'] for row in counts]
  if sum(said) == 1 and max(shares) < 1:
    yield f'every label is {names[said.index(True)]}: the IDM has collapsed.'
    return
  missed = [f'{name} (true in {percent(x)})' for name, x, is_said in zip(
      names, shares, said, strict=True) if not is_said and x >= _SMALLEST_SHARE]
  if missed:
    yield f'never said: {", ".join(missed)}.'


def calibration_of(environment):
  """Yields what is said of the entries `calibration` and `accuracy`."""
  calibration, accuracy = environment['calibration'], environment['accuracy']['value']
  if calibration['error'] < max(_LARGEST_ERROR, calibration['error_by_chance']):
    return
  confidence = calibration['mean_confidence']
  how = ('too sure of themselves' if confidence > accuracy else 'less sure of themselves than they '
         'could be')
  yield (f'labels are badly calibrated, mostly {how}: mean confidence {percent(confidence)}, right '
         f'{percent(accuracy)}, calibration error {percent(calibration["error"])} (at most '
         f'{percent(calibration["error_by_chance"])} by chance). See the temperature before '
         'dropping or weighting labels by confidence.')


def few_episodes(environment):
  """Yields what is said of the entry `num_episodes`."""
  n = environment['num_episodes']
  if n == 1:
    yield ('one episode says nothing about others, so the accuracy has no interval. Audit '
           f'{FEWEST_EPISODES} or more: {MORE}.')
  elif n < FEWEST_EPISODES:
    yield (f'{n} episodes are few: the interval is too narrow, and a lag cannot be told from '
           f'chance. Audit {FEWEST_EPISODES} or more: {MORE}.')


def known(environment):
  """Yields what is said of the entry `kind`."""
  if environment['kind'] == 'trained on':
    yield ('trained on, not held out: these numbers say how well the IDM remembers, not how well '
           'it labels.')
  elif environment['kind'] == 'hidden':
    yield ('not held-out episodes: training knew other actions of the same episodes, so accuracy '
           'may be a little too good.')


_RULES = {'constant': _constant, 'floor': _floor, 'majority': _majority, 'lag': lag_of,
          'collapse': _collapse, 'calibration': calibration_of, 'episodes': few_episodes,
          'known': known}
