"""The report on all figures of the paper: its claims one by one, then every figure that was made.

One HTML file that needs no network. What each figure shows comes from the page of its experiment.
"""

import json
import os
import re

from alpt_jax import atomic_files
from alpt_jax.reports import findings
from alpt_jax.reports import page as report_page
from experiments.studies import figures, report

_e = report_page.escape
# Of an experiment's page, what this one repeats; the rest is in the figure's own report.
_LEFT_OUT = ('data', 'problems', 'claims', 'found')


def _prefixed(text, name):
  """Makes ids of a part of another page unique on this one."""
  return re.sub(r'(\sid="|href="#|url\(#|aria-labelledby="|aria-controls="|for=")',
                rf'\g<1>{name}-', text)


def _badge(verdict, results):
  return f'<span class="badge">{_e(findings.verdict_text(verdict, results or {}))}</span>'


def _claims(parts):
  rows, last, results = [], None, {part.figure: part.results for part in parts}
  for figure, row in figures.claims(parts):
    if figure is not last:
      last = figure
      rows.append(f'{_e(figure.title)}, {_e(figure.section)}: {_e(figure.about)}')
    measured = (f'<code>{_e(row.measured)}</code>' if row.measured.startswith('python ') else
                '<br>'.join(map(_e, row.measured.split('; '))))
    rows.append([f'<div class="wrap">{_e(row.paper)}<br><span class="muted">{_e(row.section)}'
                 f'</span></div>', _badge(row.verdict, results[figure]),
                 f'<div class="wrap">{measured}</div>'])
  return ('<p>What the paper says, and what was measured. Verdicts are for registered hypotheses '
          'only: all else is exploratory and has intervals over training seeds.</p>'
          + report_page.table(['the paper', 'verdict', 'measured'], rows))


def _problems(parts):
  found = figures.problems(parts)
  return report_page.bullets(map(_e, found)) if found else '<p>None.</p>'


def _made(parts):
  rows = []
  about = figures.summary(parts)['figures']
  for part in parts:
    entry = about[part.figure.title]
    state = {'made': f'{entry.get("runs_done")} of {entry.get("runs")} runs',
             'damaged': '<b>cannot be read</b>', 'not made': 'not made'}[entry['status']]
    rows.append([_e(part.figure.title), state, _e(entry.get('preset', '')),
                 _e(entry.get('created', '')), f'<code>{_e(entry["command"])}</code>'])
  return report_page.table(['', 'state', 'preset', 'written', 'command'], rows)


def _figure(part):
  results = part.results
  name = part.figure.directory
  lines = []
  for key, (title, content) in report.of(results).SECTIONS.items():
    if key not in _LEFT_OUT:
      lines.append(f'<details{" open" if key in _OPEN else ""}><summary>{_e(title)}</summary>'
                   + _prefixed(content(results), name) + '</details>')
  return '\n'.join(lines)


_OPEN = ('updates', 'agents', 'curves', 'scores', 'aggregates', 'final')


def page(parts):
  """The page, HTML.

  Args:
    parts: from `figures.read`.
  """
  sections = {'claims': ('The paper’s claims', lambda _: _claims(parts)),
              'made': ('What was made', lambda _: _made(parts)),
              'problems': ('What to know before comparing', lambda _: _problems(parts))}
  for part in parts:
    if part.results:
      sections[part.figure.directory] = (
          f'{part.figure.title}: {part.figure.about}', lambda _, part=part: _figure(part))
  made = [part.results for part in parts if part.results]
  newest = max(made, key=lambda r: r['created'], default={'preset': '–', 'created': '–'})
  num_missing = sum(bool(part.problem) for part in parts) + sum(
      findings.num_missing(results, report.of(results).problems(results)) for results in made)
  return report_page.page(
      newest, 'Action-limited pretraining, run again',
      'The figures and tables of ALPT (Venuto et al., 2023): what the paper claims and what was '
      'measured here.', num_missing, sections,
      num_remarks=len(figures.problems(parts)) - num_missing)


def write(workdir):
  """Writes figures.html and figures.json on all figures of a directory.

  Args:
    workdir: see `read`.
  """
  parts = figures.read(workdir)
  atomic_files.write(os.path.join(workdir, figures.PAGE), page(parts).encode())
  atomic_files.write(os.path.join(workdir, figures.NUMBERS),
                     json.dumps(figures.summary(parts), indent=1).encode())
