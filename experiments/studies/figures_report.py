"""Builds the report on all figures of the paper: its claims, then every figure.

One HTML file that needs no network. What each figure shows comes from the page of its experiment.
"""

import json
import os
import re

from markupsafe import Markup

from alpt_jax.files import atomic_files
from alpt_jax.reports import experiment, findings
from alpt_jax.reports import page as report_page
from alpt_jax.reports.page import html, join
from experiments.studies import figures, report

# Of an experiment's page, what this one repeats; the rest is in the figure's own report.
_LEFT_OUT = ('data', 'problems', 'claims', 'found')


def _prefixed(text, name):
  """Makes ids of a part of another page unique on this one."""
  return Markup(re.sub(r'(\sid="|href="#|url\(#|aria-labelledby="|aria-controls="|for=")',
                       rf'\g<1>{name}-', str(text)))  # Markup would escape what is put in.


def _claims(parts):
  rows, results = [], {part.figure: part.results for part in parts}
  for figure, row in figures.claims(parts):
    title = f'{figure.title}, {figure.section}: {figure.about}'
    rows += [title] * (title not in rows) + [(results[figure], row)]
  return join([html('<p>What the paper says, and what was measured. Verdicts are for registered '
                    'hypotheses only: all else is exploratory and has intervals over training '
                    'seeds.</p>'), experiment.claims_table(rows)])


def _made(parts):
  rows = []
  about = figures.summary(parts)['figures']
  for part in parts:
    entry = about[part.figure.title]
    state = {'made': f'{entry.get("runs_done")} of {entry.get("runs")} runs',
             'damaged': html('<b>cannot be read</b>'), 'not made': 'not made'}[entry['status']]
    rows.append([part.figure.title, state, entry.get('preset', ''), entry.get('created', ''),
                 html('<code>{}</code>', entry['command'])])
  return report_page.table(['', 'state', 'preset', 'written', 'command'], rows)


def _figure(part):
  return join(
      report_page.fold(title, _prefixed(content(), part.figure.directory), is_open=key in _OPEN)
      for key, (title, content) in report.of(part.results).sections().items()
      if key not in _LEFT_OUT)


_OPEN = ('updates', 'labels', 'scores', 'aggregates')


def page(parts):
  """Builds the page, HTML.

  Args:
    parts: from `figures.read`.
  """
  problems = figures.problems(parts)
  sections = {'claims': ('The paper’s claims', _claims(parts)),
              'made': ('What was made', _made(parts)),
              'problems': ('What to know before comparing', report_page.bullets(problems)
                           if problems else html('<p>None.</p>'))}
  for part in parts:
    if part.results:
      sections[part.figure.directory] = f'{part.figure.title}: {part.figure.about}', _figure(part)
  made = [part.results for part in parts if part.results]
  newest = max(made, key=lambda r: r['created'], default={'preset': '–', 'created': '–'})
  num_missing = sum(bool(part.problem) for part in parts) + sum(
      findings.num_missing(results, report.of(results).problems()) for results in made)
  return report_page.page(
      newest, 'Action-limited pretraining, run again',
      'The figures and tables of ALPT (Venuto et al., 2023): what the paper claims and what was '
      'measured here.', num_missing, sections, num_remarks=len(problems) - num_missing)


def write(workdir):
  """Writes figures.html and figures.json on all figures of a directory.

  Args:
    workdir: see `read`.
  """
  parts = figures.read(workdir)
  atomic_files.write(os.path.join(workdir, figures.PAGE), page(parts).encode())
  atomic_files.write(os.path.join(workdir, figures.NUMBERS),
                     json.dumps(figures.summary(parts), indent=1).encode())
