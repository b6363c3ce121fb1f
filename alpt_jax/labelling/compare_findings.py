"""Words a comparison of IDMs with and without a source; see `audit_compare`."""

from alpt_jax.labelling import audit_findings
from alpt_jax.measures import verdicts

_KINDS = {'held out': ' in which neither knew any', 'hidden': ' in which both knew others',
          'never seen': ' of an environment that neither saw'}  # Of `audit.KINDS`.


def sentences(group, result):
  """Words the comparison of one environment: a line or more on each pair, and the verdict.

  Args:
    group: the entries of `pairs` that are of it, by seed.
    result: the entry of `results`.

  Returns:
    List of str.
  """
  lines = [line for one in group for line in _of_pair(one)]
  if len(group) > 1:
    lines.append(f'{result["environment"]}: difference over {len(group)} training seeds '
                 f'(Student’s t): {signed(result["difference"])}.')
    if len({one['label_seed'] for one in group}) == 1:
      lines.append('  All pairs have one label_seed: the interval is not about other labels.')
  return [*lines, f'{result["environment"]}: {verdict_of(result)}']


def verdict_of(result):
  """Words the verdict of an entry of `results`."""
  verdict, n = result['verdict'], result['num_pairs']
  if n >= verdicts.FEWEST_SEEDS:
    return f'{verdict["word"]}: {verdict["reason"]}.'
  text = (f'cannot tell, n = {n}: a verdict needs {verdicts.FEWEST_SEEDS} pairs of runs, each with '
          'another seed')
  if n > 1:
    return f'{text}.'
  difference = result['difference']
  if difference['low'] is None:
    return f'{text}; over one episode there is no interval either.'
  where = ('above zero' if difference['low'] > 0 else
           'below zero' if difference['high'] < 0 else 'around zero')
  return (f'{text}; the interval over episodes is {where}, {signed(difference)}, which is about '
          'these two IDMs, not about two that are trained again.')


def _of_pair(one):
  lines = [f'{one["environment"]}, seed {one["seed"]}: labels are right in '
           f'{_share(one["run"]["accuracy"])} with {sources_of(one["run"])}, in '
           f'{_share(one["baseline"]["accuracy"])} with {sources_of(one["baseline"])}; difference '
           f'{signed(one["difference"])}, {one["num_transitions"]:,} transitions of '
           f'{one["num_episodes"]:,} episodes{_KINDS[one["kind"]]}.']
  known = [f'{title} {_share(entry)}' for title, entry in references(one) if entry]
  if known:
    lines.append(f'  beside them: {", ".join(known)}.')
  for name in ('run', 'baseline'):
    lines += [f'  {text}' for text in (*_other_settings(one[name]), *_warnings(one, name))]
  return lines


def _other_settings(about):
  if about['pretraining_also']:
    yield (f'the pretraining of {about["directory"]} also has: '
           f'{"; ".join(about["pretraining_also"])}. The other run has none, so the difference is '
           'of these settings, too.')


def references(one):
  """Lists floors and ceiling of an entry of `pairs`: (title, mean or None) each."""
  of = one['floors'] if 'unknown' not in one['floors'] else {}
  top = one['ceiling'] if 'unknown' not in one['ceiling'] else {}
  return [('majority', of.get('majority')), ('table of the change', of.get('table')),
          ('linear map of the change', of.get('linear')), ('ceiling, expected',
                                                           top.get('expected'))]


def _warnings(one, name):
  about = one[name]
  if about['labels']['is_constant']:
    yield (f'labels of {about["directory"]} are constant: {about["labels"]["most_frequent"]} in '
           f'{audit_findings.percent(about["labels"]["share"])}.')
  margin = about['margin']
  if margin and not (margin['low'] or 0) > 0:  # Without an interval it cannot be told.
    how = 'not clearly better' if margin['value'] > 0 else 'no better'
    yield (f'labels of {about["directory"]} are {how} than the floor {one["floors"]["best"]}, '
           f'which needs no IDM: {signed(margin)}.')


def sources_of(about):
  """Names sources and method, e.g. 'Freeway, Pong (alpt)', 'no source (dt1_idm)'."""
  return f'{", ".join(about["sources"]) or "no source"} ({about["method"]})'


def _share(mean):
  interval = '' if mean['low'] is None else f' [{mean["low"]:.3f}, {mean["high"]:.3f}]'
  return f'{mean["value"]:.3f}{interval}'


def signed(difference):
  """Formats a difference with its interval, e.g. '+0.050 [+0.010, +0.090]'."""
  value, low, high = (difference[key] for key in ('value', 'low', 'high'))
  return f'{value:+.3f}' + ('' if low is None else f' [{low:+.3f}, {high:+.3f}]')
