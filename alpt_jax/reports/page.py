"""What the pages of all experiments are made of: text, tables, downloads, and the page around them.

Pages need no network. A script may order and hide what is there; without it all of
it can be read. Missing numbers are dashes, never zeros.
"""

import base64
import csv
import gzip
import html
import io
import itertools
import json
import math

from alpt_jax.reports import figures, findings
from alpt_jax.reports import style as report_style

escape = html.escape


def sentence(text):
  """E.g. 'it holds' becomes 'It holds.'"""
  return text[0].upper() + text[1:] + '.'


def listed(items):
  """E.g. 'a, b and c'."""
  *first, last = items
  return f'{", ".join(first)} and {last}' if first else last


def number(mean, digits, std=math.nan):
  """E.g. '0.50 ± 0.10'; a dash if there is no mean."""
  if not math.isfinite(mean):
    return '–'
  return f'{mean:,.{digits}f}' + (f' ± {std:,.{digits}f}' if math.isfinite(std) else '')


def count(x):
  """E.g. '1,234'; a dash for None."""
  return '–' if x is None else f'{x:,.0f}'


def table(header, body, caption=''):
  """A table that scrolls sideways on narrow screens.

  Args:
    header: column titles, text.
    body: rows of HTML cells; a row that is a string is the title of a group.
    caption: text.
  """
  lines = ['<div class="scroll"><table>',
           f'<caption>{escape(caption)}</caption>' if caption else '',
           '<thead><tr>', *(f'<th scope="col">{escape(title)}</th>' for title in header),
           '</tr></thead><tbody>']
  for row in body:
    if isinstance(row, str):
      lines.append(f'<tr class="group"><th colspan="{len(header)}">{row}</th></tr>')
    else:
      name = row[0].replace('+', '+<wbr>')
      lines.append(f'<tr><th scope="row">{name}</th>'
                   + ''.join(f'<td>{cell}</td>' for cell in row[1:]) + '</tr>')
  return '\n'.join(lines + ['</tbody></table></div>'])


def bullets(items):
  """A list of HTML items."""
  return '<ul class="plain">' + ''.join(f'<li>{item}</li>' for item in items) + '</ul>'


def definitions(pairs):
  """A list of terms and what they are, both text."""
  return ('<dl>' + ''.join(f'<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>' for k, v in pairs)
          + '</dl>')


def legend(styles):
  """Names, lines and markers of `figures.Style`s."""
  return '<ul class="legend">' + ''.join(
      f'<li>{figures.swatch(style)}{escape(style.label)}</li>' for style in styles) + '</ul>'


def what_was_run(results, places):
  """Command, preset, runs, time, versions, methods and config.

  Args:
    results: checked results.
    places: what the targets are called, e.g. 'target mazes'.
  """
  runs = results['runs']
  seconds = [run['seconds'] for run in runs if run.get('seconds') is not None]
  num_seeds = len({run['seed'] for run in runs})
  facts = [
      ('Preset', results['preset']), ('Written', results['created']),
      ('Config digest', results['config_digest']),
      ('Runs', f'{sum(run["status"] == "done" for run in runs)} of {len(runs)} done, on '
               f'{len({run["target"] for run in runs})} {places} with '
               f'{num_seeds} seed{"s" * (num_seeds != 1)}'),
      ('Time', f'{sum(seconds) / 3600:.1f} hours, all runs together' if seconds else '–'),
      ('Versions', ', '.join(f'{name} {version}' for name, version in results['versions'].items())),
  ]
  config = escape(json.dumps(results['config'], indent=2, default=str))
  return '\n'.join([
      f'<pre>{escape(results["command"])}</pre>', definitions(facts), '<h3>Methods</h3>',
      definitions((m['label'], m.get('description', '')) for m in results['methods'].values()),
      f'<details><summary>Config</summary><pre>{config}</pre></details>'])


def csv_bytes(rows):
  """Rows (dicts of scalars and lists) as CSV; what is missing is empty, lists are joined by '+'."""
  rows = list(rows)
  fields = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
  buffer = io.StringIO()
  writer = csv.DictWriter(buffer, fields, restval='', lineterminator='\n')
  writer.writeheader()
  for row in rows:
    writer.writerow({
        key: '+'.join(map(str, x)) if isinstance(x, list | tuple) else
        '' if x is None or (isinstance(x, float) and not math.isfinite(x)) else x
        for key, x in row.items()})
  return buffer.getvalue().encode()


def _finite(tree):
  """NaN is not in JSON; null says the same."""
  if isinstance(tree, dict):
    return {key: _finite(x) for key, x in tree.items()}
  if isinstance(tree, list | tuple):
    return [_finite(x) for x in tree]
  return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _without_pictures(results):
  """The page shows them; once is enough."""
  changes = {}
  if 'labellings' in results:
    changes['labellings'] = [
        labelling | {part: [{k: v for k, v in example.items() if k != 'strip'}
                            for example in labelling[part]]
                     for part in ('examples', 'clips') if part in labelling}
        for labelling in results['labellings']]
  if 'episodes' in results:
    changes['episodes'] = [{k: v for k, v in episode.items() if k != 'gif'}
                           for episode in results['episodes']]
  return results | changes


def downloads(results, tables, everything):
  """Links to the numbers, which are in the page itself.

  Args:
    results: checked results.
    tables: {file name: (rows as for `csv_bytes`, what they are)}.
    everything: what results.json holds, for readers.
  """
  whole = json.dumps(_finite(_without_pictures(results)), default=str).encode()
  files = [
      ('results.csv.gz', 'application/gzip', gzip.compress(csv_bytes(results['rows']), mtime=0),
       'a row per run and evaluation'),
      *((name, 'text/csv', csv_bytes(rows), what) for name, (rows, what) in tables.items()),
      ('results.json.gz', 'application/gzip', gzip.compress(whole, mtime=0),
       f'everything: {everything}'),
  ]
  return links(files)


def links(files):
  """Links to files that are in the page itself.

  Args:
    files: (file name, MIME type, content as bytes, what it is) of each.

  Returns:
    HTML.
  """
  return bullets(
      f'<a download="{name}" href="data:{kind};base64,{base64.b64encode(data).decode()}">{name}</a>'
      f' <span class="muted">{what}, {len(data) / 1000:,.0f} kB</span>'
      for name, kind, data, what in files)


def page(results, title, introduction, num_missing, sections, *, num_remarks=0):
  """The whole page.

  Args:
    results: checked results.
    title: text.
    introduction: HTML; what the paper is, and which part of it this is.
    num_missing: how many runs are missing or lack numbers; section 'problems' says which.
    sections: {id: (title, function from results to HTML)}.
    num_remarks: how many sentences of it say something else, e.g. that versions differ.

  Returns:
    HTML.
  """
  notes = [f'<p><b>{line}</b></p>' for line in findings.size_lines(results)]
  if num_missing:
    notes.append(f'<p><b>{num_missing} of the planned runs or their numbers are missing</b>: '
                 '<a href="#problems">which</a>.</p>')
  if num_remarks:
    notes.append(f'<p>{num_remarks} remark{"s" * (num_remarks > 1)} on what was run: '
                 '<a href="#problems">read before comparing</a>.</p>')
  return '\n'.join([
      '<!DOCTYPE html>', '<html lang="en"><head><meta charset="utf-8">',
      '<meta name="viewport" content="width=device-width,initial-scale=1">',
      f'<title>{escape(title)}</title><style>{report_style.CSS}</style></head><body><main>',
      f'<header><h1>{escape(title)}</h1>',
      f'<p>{introduction} <span class="muted">Preset {escape(results["preset"])}, '
      f'{escape(results["created"])}.</span></p>', *notes, '<nav aria-label="Sections">',
      *(f'<a href="#{key}">{escape(name)}</a>' for key, (name, _) in sections.items()),
      '</nav></header>',
      *(f'<section><h2 id="{key}">{escape(name)}</h2>\n{content(results)}</section>'
        for key, (name, content) in sections.items()),
      '</main></body></html>', ''])
