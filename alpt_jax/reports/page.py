"""Builds pages: text, tables, downloads, and the page around them.

Text escapes itself: what is no `Markup` becomes text, wherever it goes into a page. Pages need no
network. A script may order and hide what is there; without it all of it can be read. Missing
numbers are dashes, never zeros.
"""

import base64
import csv
import gzip
import io
import itertools
import json
import math

from markupsafe import Markup, escape

from alpt_jax.reports import figures, findings
from alpt_jax.reports import style as report_style

_PICTURES = ('strip', 'gif')  # Fields of examples and episodes.


def html(template, *values, **named):
  """Fills the places of an HTML template, as `str.format`; values that are no `Markup` as text."""
  return Markup(template).format(*values, **named)


def join(parts, separator='\n'):
  """Joins HTML and text, which is escaped; empty parts are left out."""
  return Markup(separator).join(part for part in parts if part)


def muted(text):
  """Shows text in a lighter ink."""
  return html('<span class="muted">{}</span>', text)


def badge(text, kind=''):
  """Shows text in a frame; `kind` is a CSS class."""
  return html('<span class="{}">{}</span>', f'badge {kind}'.rstrip(), text)


def fold(title, *content, is_open=False):
  """Folds content below its title."""
  return html('<details{}><summary>{}</summary>{}</details>', Markup(' open' * is_open), title,
              join(content))


def sentence(text):
  """Makes a sentence: 'it holds' becomes 'It holds.'"""
  return text[0].upper() + text[1:] + '.'


def listed(items):
  """Joins items, e.g. 'a, b and c'."""
  *first, last = items
  return f'{", ".join(first)} and {last}' if first else last


def number(mean, digits, std=math.nan):
  """Formats e.g. '0.50 ± 0.10'; a dash without a mean; no digits from 1,000 on."""
  if mean is None or not math.isfinite(mean):
    return '–'
  digits = digits if abs(mean) < 1000 else 0
  return f'{mean:,.{digits}f}' + (f' ± {std:,.{digits}f}' if math.isfinite(std) else '')


def share(x):
  """Formats a number with three digits, e.g. '0.500'; a dash for None."""
  return number(x, 3)


def count(x):
  """Formats e.g. '1,234'; a dash for None."""
  return '–' if x is None else f'{x:,.0f}'


def table(header, body, caption=''):
  """Makes a table that scrolls sideways on narrow screens.

  Args:
    header: column titles.
    body: rows of cells; a row that is no list is the title of a group.
    caption: text.
  """
  rows = []
  for row in body:
    if isinstance(row, list):
      name = escape(row[0]).replace('+', Markup('+<wbr>'))
      cells = join((html('<td>{}</td>', cell) for cell in row[1:]), '')
      rows.append(html('<tr><th scope="row">{}</th>{}</tr>', name, cells))
    else:
      rows.append(html('<tr class="group"><th colspan="{}">{}</th></tr>', len(header), row))
  return html('<div class="scroll"><table>\n{}<thead><tr>{}</tr></thead><tbody>\n{}\n</tbody>'
              '</table></div>', caption and html('<caption>{}</caption>\n', caption),
              join((html('<th scope="col">{}</th>', title) for title in header), ''), join(rows))


def lines(header, rows):
  """Writes a table as indented lines of text; cells that say nothing are left out."""
  return [f'  {name}: ' + '; '.join(
      f'{what} {cell}' for what, cell in zip(header[1:], cells, strict=True)
      if cell not in ('', '–')) for name, *cells in rows]


def bullets(items):
  """Makes a list of items."""
  return html('<ul class="plain">{}</ul>', join((html('<li>{}</li>', x) for x in items), ''))


def definitions(pairs):
  """Makes a list of terms and what they are."""
  return html('<dl>{}</dl>', join((html('<dt>{}</dt><dd>{}</dd>', *pair) for pair in pairs), ''))


def legend(styles):
  """Shows names, lines and markers of `figures.Style`s."""
  return html('<ul class="legend">{}</ul>', join(
      (html('<li>{}{}</li>', figures.swatch(style), style.label) for style in styles), ''))


def grid(pictures):
  """Places figures side by side: pictures, or pairs of a picture and its caption."""
  pairs = (pair if isinstance(pair, tuple) else (pair, '') for pair in pictures)
  return html('<div class="grid">\n{}\n</div>', join(
      html('<figure>{}{}</figure>', svg, text and html('<figcaption>{}</figcaption>', text))
      for svg, text in pairs))


def what_was_run(results, places):
  """Shows command, preset, runs, time, versions, methods and config.

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
  config = json.dumps(results['config'], indent=2, default=str)
  return join([
      html('<pre>{}</pre>', results['command']), definitions(facts), Markup('<h3>Methods</h3>'),
      definitions((m['label'], m.get('description', '')) for m in results['methods'].values()),
      fold('Config', html('<pre>{}</pre>', config))])


def csv_bytes(rows):
  """Writes rows (dicts of scalars and lists) as CSV; missing is empty, '+' joins lists."""
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


def without_pictures(tree):
  """Returns a tree as JSON has it without pictures, which the page shows: once is enough."""
  if isinstance(tree, dict):
    return {key: without_pictures(x) for key, x in tree.items() if key not in _PICTURES}
  return [without_pictures(x) for x in tree] if isinstance(tree, list | tuple) else tree


def downloads(results, tables, everything):
  """Links to the numbers, which are in the page itself.

  Args:
    results: checked results.
    tables: {file name: (rows as for `csv_bytes`, what they are)}.
    everything: what results.json holds, for readers.
  """
  whole = json.dumps(_finite(without_pictures(results)), default=str).encode()
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
  """
  return bullets(
      html('<a download="{}" href="data:{};base64,{}">{}</a> {}', name, kind,
           base64.b64encode(data).decode(), name, muted(f'{what}, {len(data) / 1000:,.0f} kB'))
      for name, kind, data, what in files)


def page(results, title, introduction, num_missing, sections, *, num_remarks=0):
  """Builds the whole page.

  Args:
    results: checked results.
    title: text.
    introduction: what the paper is, and which part of it this is.
    num_missing: how many runs are missing or lack numbers; section 'problems' says which.
    sections: {id: (title, its content)}.
    num_remarks: how many sentences of it say something else, e.g. that versions differ.

  Returns:
    HTML.
  """
  notes = [html('<p><b>{}</b></p>', line) for line in findings.size_lines(results)]
  if num_missing:
    notes.append(html('<p><b>{} of the planned runs or their numbers are missing</b>: '
                      '<a href="#problems">which</a>.</p>', num_missing))
  if num_remarks:
    notes.append(html('<p>{} remark{} on what was run: <a href="#problems">read before comparing'
                      '</a>.</p>', num_remarks, 's' * (num_remarks > 1)))
  return html(
      '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
      '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
      '<title>{0}</title><style>{1}</style></head><body><main>\n<header><h1>{0}</h1>\n'
      '<p>{2} {3}</p>\n{4}<nav aria-label="Sections">\n{5}\n</nav></header>\n{6}\n'
      '</main></body></html>\n', title, Markup(report_style.CSS), introduction,
      muted(f'Preset {results["preset"]}, {results["created"]}.'), join(notes),
      join(html('<a href="#{}">{}</a>', key, name) for key, (name, _) in sections.items()),
      join(html('<section><h2 id="{}">{}</h2>\n{}</section>', key, name, content)
           for key, (name, content) in sections.items()))
