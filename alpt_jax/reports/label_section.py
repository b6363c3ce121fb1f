"""The part of a report that shows how an IDM labels: what it mixes up, and where, in pictures.

The numbers of labellings are those of `confusions`; here they become tables and strips of
frames. All examples are in the page, the most wrong first; a few lines of script order and hide
them.
"""

import itertools
import math
import re

import numpy as np

from alpt_jax.measures import confusions, curves
from alpt_jax.reports import figures, labellings, page

_e = page.escape

_FRAME = 90  # Pixels of the page that a frame is about wide, so that an action's name fits.

HOW_TO_READ = (  # Of every example.
    'An action stands between the frame before and the frame after it. A cross marks a wrong one; '
    'there the coloured ribbons of what was done and what the IDM said differ. Confidence is the '
    'probability that the IDM gives to what it says.')

# How a ribbon repeats its colours: the ninth action has the colour of the first, in stripes.
_PATTERNS = ('', ' striped', ' dotted')

# Once on a page with a `viewer`. Without script the buttons stay hidden. Ranks and counts are
# computed here, not there.
SCRIPT = """<script>
for (const viewer of document.querySelectorAll('.viewer')) {
  const examples = viewer.querySelector('.examples'), controls = viewer.querySelector('.controls');
  const orders = [...controls.querySelectorAll('[data-order]')];
  const onlyWrong = controls.querySelector('[data-only]');
  const press = (button, on) => button.setAttribute('aria-pressed', on);
  const isPressed = button => button.getAttribute('aria-pressed') === 'true';
  function show() {
    const order = orders.find(isPressed).dataset.order;
    const all = [...examples.children].sort((a, b) => a.dataset[order] - b.dataset[order]);
    for (const example of all)
      example.hidden = isPressed(onlyWrong) && example.dataset.wrong === '0';
    examples.append(...all);
    const shown = all.filter(example => !example.hidden).length;
    controls.querySelector('output').textContent = `${shown} of ${all.length} shown`;
  }
  for (const order of orders)
    order.onclick = () => { for (const other of orders) press(other, other === order); show(); };
  onlyWrong.onclick = () => { press(onlyWrong, !isPressed(onlyWrong)); show(); };
  controls.hidden = false;
  show();
}
</script>"""


def _action(name):
  """An action's name; long ones may break, e.g. UP|RIGHT|FIRE."""
  return re.sub(r'(UP|DOWN|RIGHT|LEFT)(?=\w)', r'\1<wbr>', _e(name))


def _share(x):
  return page.number(x, 3)


def _facts(labelling, numbers):
  interval, occurring = numbers.interval, int(np.isfinite(numbers.recall).sum())
  facts = [('Hidden actions', f'{labelling["num_hidden"]:,} labelled and counted')]
  if labelling['num_hidden']:
    facts += [
        ('Labels right', f'{_share(numbers.accuracy)}, 95 % interval {_share(interval.low)} to '
                         f'{_share(interval.high)}'),
        ('Balanced', f'{_share(numbers.balanced_accuracy)}, the mean recall of the {occurring} '
                     'actions that occur'),
        ('Baseline', f'{_share(numbers.majority_accuracy)} by always saying '
                     f'{labelling["actions"][numbers.majority]}')]
  facts.append(('Run', f'{labelling["run"]}, {labelling["method"]}'))
  return page.definitions(facts)


def _matrix_row(name, counts, index, recall):
  total = sum(counts)
  cells = [f'<td{" class=right" if j == index else ""}'
           + (f' style="--share:{count / total:.3f}">{count:,}' if count else '>'
              '<span class="muted">0</span>') + '</td>' for j, count in enumerate(counts)]
  return (f'<tr><th scope="row">{_action(name)}</th>{"".join(cells)}'
          f'<td>{_share(recall)}</td><td>{total:,}</td></tr>')


def matrix(actions, confusion, what='Hidden actions'):
  """A confusion matrix as a table with recall, precision and counts.

  Args:
    actions: [A] names.
    confusion: [A, A] counts; a row for each true action, a column for each predicted one.
    what: of which actions; begins the caption.

  Returns:
    HTML.
  """
  numbers = confusions.numbers(confusion)
  heads = ''.join(f'<th scope="col">{_action(name)}</th>' for name in actions)
  return '\n'.join([
      '<figure><div class="scroll"><table class="confusion"><thead>',
      f'<tr><th></th><th scope="colgroup" colspan="{len(actions)}">predicted →</th>'
      '<th></th><th></th></tr>',
      f'<tr><th scope="col">true ↓</th>{heads}<th scope="col">recall</th>'
      '<th scope="col">n</th></tr>',
      '</thead><tbody>',
      *(_matrix_row(name, counts, i, recall) for i, (name, counts, recall) in enumerate(
          zip(actions, confusion, numbers.recall, strict=True))),
      '<tr><th scope="row">precision</th>',
      *(f'<td>{_share(x)}</td>' for x in numbers.precision), '<td></td><td></td></tr>',
      f'</tbody></table></div><figcaption>{_e(what)}, true and as predicted. The stronger the '
      'shade, the larger a count’s share of its row; right ones are framed. Recall: share of a '
      'true action that is right; precision: of a predicted one; a dash where there is none.'
      '</figcaption></figure>'])


def _ribbon(action):
  """CSS of what has an action's colour, by its index: class and variable."""
  pattern = _PATTERNS[action // len(figures.COLOURS) % len(_PATTERNS)]
  return (f'class="ribbon{pattern}" '
          f'style="--action:{figures.COLOURS[action % len(figures.COLOURS)]}"')


def _legend(examples, actions):
  """The colours of the actions that occur."""
  shown = sorted({i for example in examples for i in (*example['true'], *example['predicted'])})
  return ('<ul class="legend">' + ''.join(
      f'<li><span {_ribbon(i)}></span>{_action(actions[i])}</li>' for i in shown) + '</ul>')


def _steps_row(title, cells, actions=()):
  """A row of the table below a strip: a cell per step, at the gap between its two frames."""
  starts = [f'<td {_ribbon(i)}>' for i in actions] or itertools.repeat('<td>')
  return (f'<tr{" class=ribbons" if actions else ""}><th scope="row">{title}</th><td></td>'
          + ''.join(f'{start}{cell}</td>' for start, cell in zip(starts, cells, strict=False))
          + '<td></td></tr>')


def _true(name, was_labelled):
  return _action(name) + ('<br><span class="muted">given</span>' if was_labelled else '')


def _predicted(name, is_right, was_labelled):
  if is_right:
    return _action(name)
  kind = 'muted' if was_labelled else 'wrong'
  return f'<span class="{kind}">×&nbsp;{_action(name)}</span>'


def _strip(example, actions):
  """The frames and, aligned with them, what was done and what the IDM said."""
  t, start = len(example['true']), example['start']
  scale = max(1, round(_FRAME / example['frame_width']))
  frame = scale * example['frame_width']
  known = example['was_labelled']
  true, predicted = ([actions[i] for i in example[name]] for name in ('true', 'predicted'))
  is_right = np.equal(example['true'], example['predicted'])
  rows = [_steps_row('true', map(_true, true, known), example['true']),
          _steps_row('IDM', map(_predicted, predicted, is_right, known), example['predicted'])]
  if example['confidence'] is not None:
    rows.append(_steps_row('confidence', (
        f'<span class="bar" style="--share:{x:.3f}"></span>{x:.2f}'
        for x in example['confidence'])))
  if example['return_to_go'] is not None:
    rows.append(_steps_row('return to go', (f'{x:g}' for x in example['return_to_go'])))
  times = ''.join(f'<th scope="col">{start + i}</th>' for i in range(t))
  return '\n'.join([
      f'<div class="scroll"><table class="strip" style="--frame:{frame}px;--frames:{t + 1}">',
      f'<colgroup><col class="name"><col class="half"><col span="{t}"><col class="half">'
      '</colgroup><thead>',
      f'<tr><th scope="row">frames</th><td colspan="{t + 2}">'
      f'<img alt="Frames {start} to {start + t} of episode {example["episode"]}" '
      f'width="{frame * (t + 1)}" height="{scale * example["frame_height"]}" '
      f'src="data:image/png;base64,{_e(example["strip"])}"></td></tr>',
      f'<tr><th scope="row">step</th><td></td>{times}<td></td></tr></thead><tbody>',
      *rows, '</tbody></table></div>'])


def _example(example, actions, ranks, what):
  num_wrong = int(labellings.is_wrong(example).sum())
  num_hidden = example['was_labelled'].count(False)
  file = f' ({_e(example["file"])})' if 'file' in example else ''
  data = ''.join(f' data-{order.replace(" ", "-")}="{rank}"' for order, rank in ranks.items())
  return (f'<figure class="example" data-wrong="{num_wrong}"{data}><figcaption>'
          f'Episode {example["episode"]}{file}, from step {example["start"]}: '
          f'<b>{num_wrong} of {num_hidden} {_e(what)} wrong</b></figcaption>\n'
          f'{_strip(example, actions)}</figure>')


def clips(labelling):
  """Shows the clips of a labelling that are worth labelling, the first one first.

  Args:
    labelling: as in results.json, with `clips`.

  Returns:
    HTML.
  """
  if not labelling['clips']:
    return '<p>None: all windows have labels, or the run did not write how sure it was.</p>'
  shown = (
      f'<figure class="example"><figcaption>{i + 1}. Episode {clip["episode"]}, from step '
      f'{clip["start"]}: <b>uncertainty {clip["uncertainty"]:.2f}</b></figcaption>\n'
      f'{_strip(clip, labelling["actions"])}</figure>'
      for i, clip in enumerate(labelling['clips']))
  return '\n'.join([_legend(labelling['clips'], labelling['actions']), '<div class="examples">',
                    *shown, '</div>'])


def _controls(examples):
  has_confidence = any(example['confidence'] is not None for example in examples)
  orders = [order for order in labellings.ORDERS if order != 'least sure' or has_confidence]
  names = {'in order': 'all in order'}
  buttons = [f'<button type="button" data-order="{re.sub(" (.)", lambda m: m[1].upper(), order)}" '
             f'aria-pressed="{"true" if order == orders[0] else "false"}">'
             f'{names.get(order, order)}</button>' for order in orders]
  return (f'<div class="controls" hidden>{"".join(buttons)}<button type="button" data-only '
          'aria-pressed="false">only wrong</button><output class="muted"></output></div>')


def viewer(examples, actions, what='hidden actions'):
  """Shows examples, and buttons that order and hide them where `SCRIPT` is on the page, too.

  Args:
    examples: of `labellings`.
    actions: [A] names.
    what: of which actions it is said how many are wrong.

  Returns:
    HTML.
  """
  if not examples:
    return '<p>No examples were recorded.</p>'
  orders = {order: labellings.ordered(examples, order) for order in labellings.ORDERS}
  ranks = [{order: indices.index(i) for order, indices in orders.items()}
           for i in range(len(examples))]
  return '\n'.join([
      '<div class="viewer">', _controls(examples), _legend(examples, actions),
      '<div class="examples">',
      *(_example(examples[i], actions, ranks[i], what) for i in orders['most wrong']),
      '</div></div>'])


def _labelling(labelling, is_open):
  numbers = confusions.numbers(labelling['confusion'])
  num_labels = f'{labelling["num_labels"]:,} labels, ' if 'num_labels' in labelling else ''
  title = (f'{labelling["label"]}, {labelling["target"]}, {num_labels}seed {labelling["seed"]}, '
           f'step {labelling["step"]:,}')
  return '\n'.join([
      f'<details class="labelling"{" open" if is_open else ""}><summary><b>{_e(title)}</b>: '
      f'{_share(numbers.accuracy)} right</summary>',
      _facts(labelling, numbers), matrix(labelling['actions'], labelling['confusion']),
      viewer(labelling['examples'], labelling['actions']), '</details>'])


def section(labelled):
  """Shows labellings, the first one unfolded.

  Args:
    labelled: list of labellings, as in results.json.

  Returns:
    HTML for one section of a page, with its script, which may be on a page more than once.
  """
  if not labelled:
    return '<p>Not part of this experiment.</p>'
  return '\n'.join([
      '<p>What the IDM says about the target’s hidden actions. The interval is Wilson’s; it takes '
      'every action for a trial of its own, and is too narrow, as steps of one episode are alike. '
      'The baseline always says the most frequent of these actions.</p>',
      '<p>Examples are windows of the target: some with the most mistakes, some of which the IDM '
      'was least sure, and some drawn at random; so they are worse than the average. The most '
      'wrong ones come first. Least sure is the lowest mean confidence over the hidden actions. '
      f'{HOW_TO_READ} What training was given counts nowhere.</p>',
      *(_labelling(labelling, i == 0) for i, labelling in enumerate(labelled)), SCRIPT])


def _accuracy_cell(entries):
  values = [curves.value(entry, 'accuracy') for entry in entries]
  values = [x for x in values if math.isfinite(x)]
  if not values:
    return '–'
  text = page.number(np.mean(values), 3, np.std(values) if len(values) > 1 else math.nan)
  return f'{text} <span class="muted">n = {len(values)}</span>'


def accuracy_table(entries):
  """A table of label accuracy per game and method: mean ± population standard deviation over seeds.

  Args:
    entries: dicts with 'target', 'method' (its name for readers), 'seed' and 'accuracy' (None or
      NaN where it is missing). Rows and columns come in the order in which they appear here.

  Returns:
    HTML.

  Raises:
    ValueError: if two entries have the same target, method and seed.
  """
  cells, seen = {}, set()
  for entry in entries:
    cell, seed = (entry['target'], entry['method']), entry['seed']
    if (*cell, seed) in seen:
      raise ValueError(f'entries repeat {(*cell, seed)}; expected one per target, method and seed.')
    seen.add((*cell, seed))
    cells.setdefault(cell, []).append(entry)
  targets, methods = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True)) if (
      cells) else ([], [])
  return page.table(
      ['', *methods],
      [[_e(target), *(_accuracy_cell(cells.get((target, method), [])) for method in methods)]
       for target in targets],
      'Share of the hidden actions that are labelled right: mean ± population standard deviation '
      'over n seeds.')
