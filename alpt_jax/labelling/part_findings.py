"""Words the findings of an audit of several parts: a headline for each, and warnings.

All of it follows from the numbers of `part_audit` by rules that are written here; their thresholds
are our choice. A kind of warning is one of KINDS.
"""

from alpt_jax.labelling import audit_findings
from alpt_jax.labelling.part_measures import CEILING, FLOORS, IDM, LUCK, PERSISTENCE

KINDS = (
    'unknown',  # Nothing tells how good the labels of a part are.
    'constant',  # Nearly all labels are one value.
    'persistence',  # Not clearly better than the true value of the step before.
    'floor',  # Not clearly better than the best labels that need no IDM.
    'lag',  # Labels sit at the wrong transition, or may.
    'coverage',  # Predicted intervals hold the truth more or less often than they say.
    'calibration',  # Confidence is not the share of right labels.
    'speed',  # Time passes otherwise than in the data of training, or nobody knows.
    'episodes',  # Too few of them.
    'known')  # Training knew these actions, or others of the same episodes.
TITLES = {
    IDM: 'the IDM', PERSISTENCE: 'the true value of the step before', 'majority': 'always the same',
    'mean': 'the mean', 'zero': 'always 0', 'linear': 'a linear map of the change',
    'past': 'an IDM that sees the past only', LUCK: 'its events at random steps',
    'still': 'no key and no motion', CEILING: 'the ceiling'}
FIGURES = {
    'accuracy': 'right', 'balanced_accuracy': 'balanced', 'macro_f1': 'macro F1',
    'nll': 'NLL, nats', 'step_f1': 'F1 of down', 'r2': 'R²', 'pearson': 'Pearson',
    'mean_absolute_error': 'mean error', 'bias': 'bias', 'scale_ratio': 'scale',
    'within': 'within tolerance', 'moving_f1': 'F1 of moving', 'coverage_50': '50 % interval holds',
    'coverage_90': '90 % interval holds', 'key_accuracy': 'keys', 'pearson_x': 'Pearson x',
    'pearson_y': 'Pearson y', 'scale_ratio_x': 'scale x', 'scale_ratio_y': 'scale y'} | {
        f'{kind}_f1_{collar}': f'F1 of {kind}s{f" within {collar}" if collar else ""}'
        for kind in ('event', 'onset', 'release') for collar in (0, 1, 2)}
_LARGEST_MISS = .05  # Of the share that intervals hold.
_NOMINAL = {'coverage_50': .5, 'coverage_90': .9}
_SMALLEST_GAIN = .25  # As of lags in `audit_findings`.


def number(found):
  """Formats {value, low, high} as '0.83 [0.79, 0.87]'."""
  if found['value'] is None:
    return 'not defined'
  low, high = ('' if found[key] is None else _digits(found[key]) for key in ('low', 'high'))
  return _short(found) + (f' [{low}, {high}]' if low else '')


def _short(found):
  return _digits(found['value'])


def _digits(x):
  return f'{round(x, 2) + 0.:.2f}'  # -0 is 0.


def best_floor(part):
  """The best floor of the main figure: its name and its number; (None, None) without one."""
  found = {name: x for name, x in part['main']['values'].items()
           if name in FLOORS and x['value'] is not None}
  name = max(found, key=lambda name: found[name]['value'], default=None)
  return name, found.get(name)


def headlines(audit):
  """Writes a sentence for each part of which training did not know the audited values.

  Args:
    audit: the dict that `part_audit` describes; its headlines and warnings are not read.

  Returns:
    List of str; if there is no such part, one sentence that says so.
  """
  found = []
  for environment in filter(audit_findings.is_independent, audit['environments']):
    found += [_headline(environment, part) for part in environment['parts']]
    found += [*_about_keys(environment), *_about_d2e(environment)]
  return found or ['Nothing here was held out: training knew all of these actions, so nothing can '
                   'be said about labels of new data.']


def _headline(environment, part):
  name = f'{part["name"]} of {environment["name"]}'
  if 'unknown' in part:
    return f'{name}: unknown, {part["unknown"]}.'
  main, values = part['main'], part['main']['values']
  n = part['num_episodes']
  kind = {'held out': 'held-out ', 'hidden': 'partly known '}.get(environment['kind'], '')
  text = (f'{name}: {FIGURES[main["figure"]]} {number(values[IDM])} in '
          f'{part["num_transitions"]:,} transitions of {n:,} {kind}episode{"s" * (n != 1)}')
  floor, found = best_floor(part)
  said = [f'best floor {_short(found)} ({TITLES[floor]})'] if floor else ['no floor defined']
  before = part['over_persistence']
  if floor != PERSISTENCE and before[PERSISTENCE]['value'] is not None:
    said.append(f'persistence {_short(before[PERSISTENCE])}')
    if before['figure'] != main['figure']:
      said[-1] = (f'of steps {_short(before[IDM])} right, persistence '
                  f'{_short(before[PERSISTENCE])}')
  ceiling = values.get(CEILING)
  said.append(f'ceiling {number(ceiling)}' if ceiling else 'ceiling unknown')
  return f'{text}; {", ".join(said)}.'


def _about_keys(environment):
  keys = environment['keys']
  if not keys or 'unknown' in keys['labels']:
    return
  found = keys['labels']
  yield (f'All keys of {environment["name"]} right: {number(found[IDM])} of '
         f'{keys["num_transitions"]:,} steps; ' + ', '.join(
             f'{TITLES[name]} {_short(x)}' for name, x in found.items()
             if name != IDM and x['value'] is not None) + '.')


def _about_d2e(environment):
  found = environment['d2e']
  if 'unknown' in found:
    return
  said = '; '.join(
      f'{TITLES[name]} ' + ', '.join(f'{FIGURES[key]} {_short(figures[key])}'
                                     for key in figures if figures[key]['value'] is not None)
      for name, figures in found['figures'].items()
      if any(x['value'] is not None for x in figures.values()))
  yield f'By the rules of D2E, {environment["name"]}: {said}.'


def warnings(audit):
  """Lists what to know before trusting the labels.

  Args:
    audit: as in `headlines`.

  Returns:
    List of {kind, environment, text}, by environment and part, in the order of KINDS.
  """
  found = []
  for environment in audit['environments']:
    is_independent = audit_findings.is_independent(environment)
    name = environment['name']
    for part in environment['parts']:
      if 'unknown' in part:
        found.append(_warning('unknown', name, part, f'{part["unknown"]}.'))
        continue
      # Of labels that training knew, only what cannot be right of any label is said.
      rules = _RULES if is_independent else {kind: _RULES[kind] for kind in ('constant', 'lag')}
      found += [_warning(kind, name, part, text) for kind, rule in rules.items()
                for text in rule(part)]
    rules = {'episodes': audit_findings.few_episodes} if is_independent else {}
    for kind, rule in (rules | {'known': audit_findings.known}).items():
      found += [{'kind': kind, 'environment': name, 'text': f'{name}: {text}'}
                for text in rule(environment)]
  return found


def _warning(kind, environment, part, text):
  return {'kind': kind, 'environment': environment,
          'text': f'{environment}, {part["name"]}: {text}'}


def _constant(part):
  labels = part['labels']
  if not labels['is_constant']:
    return
  if part['kind'] == 'continuous':
    yield (f'labels hardly change: their standard deviation is {labels["spread"]:.3f} of that of '
           'the truth. Train no agent on them.')
    return
  percent = audit_findings.percent
  yield (f'{percent(labels["share"])} of labels are {labels["most_frequent"]}, which is true in '
         f'{percent(labels["true_share"])}: they are constant. Train no agent on them.')


def _persistence(part):
  found = part['over_persistence']
  margin = found['margin']
  if margin['value'] is None:
    return
  what = (f'{TITLES[PERSISTENCE]}: {FIGURES[found["figure"]]} {number(found[IDM])} against '
          f'{number(found[PERSISTENCE])}')
  changed = part['at_changes']['figures'].get(IDM, {}).get(found['figure'])
  at_changes = ('' if not changed or changed['value'] is None else
                f' Where the value changes, labels have {number(changed)}.')
  yield from _compared(margin, what, at_changes)


def _floor(part):
  name, found = best_floor(part)
  if name in (None, PERSISTENCE):
    return
  fitted = (f', fitted to the same {part["num_labels"]:,} labels'
            if name in ('linear', 'past') and part['num_labels'] else '')
  figure = part['main']['figure']
  what = (f'{TITLES[name]}{fitted}: {FIGURES[figure]} {number(part["main"]["values"][IDM])} '
          f'against {number(found)}')
  yield from _compared(part['main']['margins'][name], what)


def _compared(margin, what, more=''):
  if margin['value'] is None:
    return
  if margin['value'] <= 0:
    yield f'labels are no better than {what}.{more}'
  elif margin['low'] is None:
    yield f'labels cannot be told to be better than {what}: the difference has no interval.{more}'
  elif margin['low'] <= 0:
    yield (f'labels are not clearly better than {what}; the difference is {number(margin)}. Audit '
           f'more episodes: {audit_findings.MORE}.{more}')


def _lag(part):
  lag = part['lag']
  if 'unknown' in lag:
    yield f'whether labels are late or early cannot be told: {lag["unknown"]}'
    return
  if part['kind'] != 'continuous':
    yield from audit_findings.lag_of(part)
    return
  steps = f'{abs(lag["best"])} transition{"s" * (abs(lag["best"]) != 1)}'
  where, then = ('early', 'later') if lag['best'] > 0 else ('late', 'earlier')
  there, here = (lag['accuracy'][lag['shifts'].index(shift)] for shift in (lag['best'], 0))
  if lag['is_shifted']:
    yield (f'labels come {steps} too {where}: their increments correlate by {there:.2f} with those '
           f'of the truth {steps} {then}, by {here:.2f} with those in place (p = '
           f'{lag["p_value"]:.2g}). Look for an off-by-one or another frame skip in how the data '
           'was recorded or converted, or in its list of actions.')
  elif (lag['best'] and lag['gain'] >= _SMALLEST_GAIN
        and lag['num_episodes'] < audit_findings.FEWEST_EPISODES):
    yield (f'labels may come {steps} too {where}: their increments correlate by {there:.2f} with '
           f'those of the truth {steps} {then}, by {here:.2f} with those in place; '
           f'{lag["num_episodes"]} episodes are too few to tell.')


def _coverage(part):
  for key, nominal in _NOMINAL.items():
    found = part['figures'].get(key)
    if not found or found['value'] is None or found['low'] is None:
      continue
    if abs(found['value'] - nominal) <= _LARGEST_MISS or found['low'] <= nominal <= found['high']:
      continue
    how = 'too narrow' if found['value'] < nominal else 'wider than they need be'
    yield (f'predicted intervals are {how}: those of {100 * nominal:.0f} % hold the truth in '
           f'{audit_findings.share(found)}. See the temperature before relying on them.')


def _calibration(part):
  if part['kind'] != 'continuous':
    yield from audit_findings.calibration_of(
        {'calibration': part['calibration'], 'accuracy': part['figures']['accuracy']})


_RULES = {'constant': _constant, 'persistence': _persistence, 'floor': _floor, 'lag': _lag,
          'coverage': _coverage, 'calibration': _calibration}
