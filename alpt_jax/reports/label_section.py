"""Builds the report's section on labels: confusion matrices and example strips.

The numbers of labellings are those of `confusions`; here they become tables and strips of
frames. All examples are in the page, the most wrong first; a few lines of script order and hide
them.
"""

import itertools
import re

import numpy as np
from markupsafe import Markup, escape

from alpt_jax.measures import confusions
from alpt_jax.reports import figures, labellings, page
from alpt_jax.reports.page import html, join, muted, share

_FRAME = 90  # Pixels of the page that a frame is about wide, so that an action's name fits.

HOW_TO_READ = (  # Of every example.
    'An action stands between the frame before and the frame after it. A cross marks a wrong one; '
    'there the coloured ribbons of what was done and what the IDM said differ. Confidence is the '
    'probability that the IDM gives to what it says.')

# How a ribbon repeats its colours: the ninth action has the colour of the first, in stripes.
_PATTERNS = ('', ' striped', ' dotted')

# Once on a page with a `viewer`. Without script the buttons stay hidden. Ranks and counts are
# computed here, not there.
SCRIPT = Markup("""<script>
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
</script>""")


def _action(name):
  """An action's name; long ones may break, e.g. UP|RIGHT|FIRE."""
  return Markup(re.sub(r'(UP|DOWN|RIGHT|LEFT)(?=\w)', r'\1<wbr>', escape(name)))


def _facts(labelling, numbers):
  interval, occurring = numbers.interval, int(np.isfinite(numbers.recall).sum())
  facts = [('Hidden actions', f'{labelling["num_hidden"]:,} labelled and counted')]
  if labelling['num_hidden']:
    facts += [
        ('Labels right', f'{share(numbers.accuracy)}, 95 % interval {share(interval.low)} to '
                         f'{share(interval.high)}'),
        ('Balanced', f'{share(numbers.balanced_accuracy)}, the mean recall of the {occurring} '
                     'actions that occur'),
        ('Baseline', f'{share(numbers.majority_accuracy)} by always saying '
                     f'{labelling["actions"][numbers.majority]}')]
  facts.append(('Run', f'{labelling["run"]}, {labelling["method"]}'))
  return page.definitions(facts)


def _matrix_row(name, counts, index, recall):
  total = sum(counts)
  cells = [html('<td{}{}>{}</td>', Markup(' class=right' * (j == index)),
                count and html(' style="--share:{:.3f}"', count / total) or '',
                f'{count:,}' if count else muted('0')) for j, count in enumerate(counts)]
  return html('<tr><th scope="row">{}</th>{}<td>{}</td><td>{:,}</td></tr>', _action(name),
              join(cells, ''), share(recall), total)


def matrix(actions, confusion, what='Hidden actions'):
  """Makes a confusion matrix as a table with recall, precision and counts.

  Args:
    actions: [A] names.
    confusion: [A, A] counts; a row for each true action, a column for each predicted one.
    what: of which actions; begins the caption.

  Returns:
    HTML.
  """
  numbers = confusions.numbers(confusion)
  heads = join((html('<th scope="col">{}</th>', _action(name)) for name in actions), '')
  return html(
      '<figure><div class="scroll"><table class="confusion"><thead>\n'
      '<tr><th></th><th scope="colgroup" colspan="{}">predicted →</th><th></th><th></th></tr>\n'
      '<tr><th scope="col">true ↓</th>{}<th scope="col">recall</th><th scope="col">n</th></tr>\n'
      '</thead><tbody>\n{}\n<tr><th scope="row">precision</th>{}<td></td><td></td></tr>\n'
      '</tbody></table></div><figcaption>{}, true and as predicted. The stronger the shade, the '
      'larger a count’s share of its row; right ones are framed. Recall: share of a true action '
      'that is right; precision: of a predicted one; a dash where there is none.</figcaption>'
      '</figure>', len(actions), heads, join(
          _matrix_row(name, counts, i, recall) for i, (name, counts, recall) in enumerate(
              zip(actions, confusion, numbers.recall, strict=True))),
      join((html('<td>{}</td>', share(x)) for x in numbers.precision), ''), what)


def _ribbon(action):
  """CSS of what has an action's colour, by its index: class and variable."""
  pattern = _PATTERNS[action // len(figures.COLOURS) % len(_PATTERNS)]
  return html('class="ribbon{}" style="--action:{}"', pattern,
              figures.COLOURS[action % len(figures.COLOURS)])


def _legend(examples, actions):
  """The colours of the actions that occur."""
  shown = sorted({i for example in examples for i in (*example['true'], *example['predicted'])})
  return html('<ul class="legend">{}</ul>', join((
      html('<li><span {}></span>{}</li>', _ribbon(i), _action(actions[i])) for i in shown), ''))


def _steps_row(title, cells, actions=()):
  """A row of the table below a strip: a cell per step, at the gap between its two frames."""
  starts = [html(' {}', _ribbon(i)) for i in actions] or itertools.repeat('')
  return html('<tr{}><th scope="row">{}</th><td></td>{}<td></td></tr>',
              Markup(' class=ribbons' * bool(actions)), title, join(
                  (html('<td{}>{}</td>', *pair) for pair in zip(starts, cells, strict=False)), ''))


def _true(name, was_labelled):
  return join([_action(name), was_labelled and muted('given')], '<br>')


def _predicted(name, is_right, was_labelled):
  if is_right:
    return _action(name)
  return html('<span class="{}">×&nbsp;{}</span>', 'muted' if was_labelled else 'wrong',
              _action(name))


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
        html('<span class="bar" style="--share:{0:.3f}"></span>{0:.2f}', x)
        for x in example['confidence'])))
  if example['return_to_go'] is not None:
    rows.append(_steps_row('return to go', (f'{x:g}' for x in example['return_to_go'])))
  times = join((html('<th scope="col">{}</th>', start + i) for i in range(t)), '')
  return html(
      '<div class="scroll"><table class="strip" style="--frame:{frame}px;--frames:{n}">\n'
      '<colgroup><col class="name"><col class="half"><col span="{t}"><col class="half"></colgroup>'
      '<thead>\n<tr><th scope="row">frames</th><td colspan="{all}">'
      '<img alt="Frames {start} to {end} of episode {episode}" width="{width}" height="{height}" '
      'src="data:image/png;base64,{strip}"></td></tr>\n'
      '<tr><th scope="row">step</th><td></td>{times}<td></td></tr></thead><tbody>\n{rows}\n'
      '</tbody></table></div>', frame=frame, n=t + 1, t=t, all=t + 2, start=start, end=start + t,
      episode=example['episode'], width=frame * (t + 1), height=scale * example['frame_height'],
      strip=example['strip'], times=times, rows=join(rows))


def _example(example, actions, ranks, what):
  num_wrong = int(labellings.is_wrong(example).sum())
  data = join((html(' data-{}="{}"', order.replace(' ', '-'), rank)
               for order, rank in ranks.items()), '')
  return html('<figure class="example" data-wrong="{}"{}><figcaption>Episode {}{}, from step {}: '
              '<b>{} of {} {} wrong</b></figcaption>\n{}</figure>', num_wrong, data,
              example['episode'], f' ({example["file"]})' if 'file' in example else '',
              example['start'], num_wrong, example['was_labelled'].count(False), what,
              _strip(example, actions))


def clips(labelling):
  """Shows the clips of a labelling that are worth labelling, the first one first.

  Args:
    labelling: as in results.json, with `clips`.

  Returns:
    HTML.
  """
  if not labelling['clips']:
    return html('<p>None: all windows have labels, or the run did not write how sure it was.</p>')
  shown = (html('<figure class="example"><figcaption>{}. Episode {}, from step {}: <b>uncertainty '
                '{:.2f}</b></figcaption>\n{}</figure>', i + 1, clip['episode'], clip['start'],
                clip['uncertainty'], _strip(clip, labelling['actions']))
           for i, clip in enumerate(labelling['clips']))
  return html('{}\n<div class="examples">\n{}\n</div>',
              _legend(labelling['clips'], labelling['actions']), join(shown))


def _controls(examples):
  has_confidence = any(example['confidence'] is not None for example in examples)
  orders = [order for order in labellings.ORDERS if order != 'least sure' or has_confidence]
  names = {'in order': 'all in order'}
  buttons = [html('<button type="button" data-order="{}" aria-pressed="{}">{}</button>',
                  re.sub(' (.)', lambda m: m[1].upper(), order),
                  'true' if order == orders[0] else 'false', names.get(order, order))
             for order in orders]
  return html('<div class="controls" hidden>{}<button type="button" data-only aria-pressed="false">'
              'only wrong</button><output class="muted"></output></div>', join(buttons, ''))


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
    return html('<p>No examples were recorded.</p>')
  orders = {order: labellings.ordered(examples, order) for order in labellings.ORDERS}
  ranks = [{order: indices.index(i) for order, indices in orders.items()}
           for i in range(len(examples))]
  return html(
      '<div class="viewer">\n{}\n{}\n<div class="examples">\n{}\n</div></div>',
      _controls(examples), _legend(examples, actions),
      join(_example(examples[i], actions, ranks[i], what) for i in orders['most wrong']))


def _labelling(labelling, is_open):
  numbers = confusions.numbers(labelling['confusion'])
  num_labels = f'{labelling["num_labels"]:,} labels, ' if 'num_labels' in labelling else ''
  title = (f'{labelling["label"]}, {labelling["target"]}, {num_labels}seed {labelling["seed"]}, '
           f'step {labelling["step"]:,}')
  return html('<details class="labelling"{}><summary><b>{}</b>: {} right</summary>{}</details>',
              Markup(' open' * is_open), title, share(numbers.accuracy), join([
                  _facts(labelling, numbers), matrix(labelling['actions'], labelling['confusion']),
                  viewer(labelling['examples'], labelling['actions'])]))


def section(labelled):
  """Shows labellings, the first one unfolded.

  Args:
    labelled: list of labellings, as in results.json.

  Returns:
    HTML for one section of a page, with its script, which may be on a page more than once.
  """
  if not labelled:
    return html('<p>Not part of this experiment.</p>')
  return join([
      html('<p>What the IDM says about the target’s hidden actions. The interval is Wilson’s; it '
           'takes every action for a trial of its own, and is too narrow, as steps of one episode '
           'are alike. The baseline always says the most frequent of these actions.</p>'
           '<p>Examples are windows of the target: some with the most mistakes, some of which the '
           'IDM was least sure, and some drawn at random; so they are worse than the average. The '
           'most wrong ones come first. Least sure is the lowest mean confidence over the hidden '
           'actions. {} What training was given counts nowhere.</p>', HOW_TO_READ),
      *(_labelling(labelling, i == 0) for i, labelling in enumerate(labelled)), SCRIPT])
