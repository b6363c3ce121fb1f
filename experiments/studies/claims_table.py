"""Lists the paper's claims beside what registered hypotheses found, for README.

`experiments.summarise` puts the table between `<!-- claims all: experiments/results -->` and
`<!-- end of table -->`. Numbers and verdicts are of run files; words are of this file.
"""

import pathlib
from typing import NamedTuple

import numpy as np

from experiments.studies import label_points, registration, run_files

HEADER = ('the paper', 'asked here', 'found', 'seeds', 'floor', 'ceiling', 'verdict')


class Claim(NamedTuple):
  """A claim of the paper.

  Attributes:
    paper: where it stands, and its number.
    answers: names of registered studies and of their hypotheses.
    meanwhile: what to say while there is none of them.
  """
  paper: str
  answers: tuple[tuple[str, str], ...]
  meanwhile: str = 'not registered yet'


CLAIMS = (
    Claim('Figure 5: a source maze solves the target “twice as fast”', (('mazes', 'sooner'),)),
    Claim('Figure 5: a second, tunneled source is “even faster”', (),
          'explored in [mazes](experiments/results/mazes)'),
    Claim('Section 5.3: sources make the IDM’s labels better',
          (('labels', 'four_Seaquest'), ('labels', 'four_Pong'),
           ('labels_again', 'four_Seaquest'), ('labels_again', 'four_Pong'))),
    Claim('Figure 2: ALPT scores up to 500 % higher than DT1-IDM',
          (('agents', 'alpt_Breakout'), ('agents', 'alpt_Gopher'))),
    Claim('Figure 2: without an IDM, DT1, DT5 and DT5-RET are poor', ()),
    Claim('Figure 3: more sources, higher scores',
          (('sources', 'nine_Seaquest'), ('sources', 'nine_Pong'))),
    Claim('Figure 4: a source without common actions helps', (('sources', 'renamed_Pong'),)),
    Claim('Figure 6: pretraining the IDM alone beats DT1-IDM', ()),
    Claim('Table 4: CQL on 10,000 labels', ()))


def rows(directory, registrations=registration.DIRECTORY):
  """Makes the table.

  Args:
    directory: of results, with <study>/runs.
    registrations: directory of <study>.json.

  Returns:
    Rows of as many texts as HEADER has.

  Raises:
    ValueError: if a registration lacks a hypothesis, or a run file is damaged.
  """
  found = []
  for claim in CLAIMS:
    answers = [row for study, name in claim.answers
               if (row := _answer(study, name, pathlib.Path(directory), registrations))]
    found += [(claim.paper, *row) for row in answers] or [
        (claim.paper, claim.meanwhile, '', '', '', '', 'none yet')]
  return found


def _answer(study, name, directory, registrations):
  """The row of a hypothesis without the claim; None if its study is not registered."""
  path = pathlib.Path(registrations, f'{study}.json').resolve()
  if not path.exists():
    return None
  registered = registration.load(path)
  files = [run_files.read(file) for file in sorted((directory / study / 'runs').glob('*.json'))]
  chosen = [primary for primary in registration.primaries(registered, files)
            if primary.hypothesis['name'] == name]
  if not chosen:
    raise ValueError(f'{path}: has no hypothesis {name!r}; expected one of '
                     f'{[h["name"] for h in registered.content["hypotheses"]]}.')
  primary, = chosen
  hypothesis, interval = primary.hypothesis, primary.comparison.interval
  floor, ceiling = _references(hypothesis, files)
  kind = 'times' if hypothesis['effect'] == 'ratio' else 'more'
  asked = f'{hypothesis["claim"]} ({study})'
  return (asked, f'{interval.text()} {kind}' if interval.value is not None else '–', interval.n,
          floor, ceiling, registration.in_words(primary))


def _references(hypothesis, files):
  """Texts of the best floor and the ceiling of labels, means over the runs of both arms."""
  where = hypothesis['where']
  runs = [content for content in files if content['status'] == 'done'
          and content['identity']['method'] in (hypothesis['method'], hypothesis['baseline'])
          and all(content['identity'].get(key) == value for key, value in where.items())]
  found = [label_points.references(content) for content in runs]
  mean = {name: np.mean([values[name] for values in found])
          for name in ('table', 'linear', 'majority', 'ceiling')
          if found and all(name in values for values in found)}
  ceiling = mean.pop('ceiling', None)
  best = max(mean, key=mean.get, default=None)
  return (f'{label_points.METHODS[best].removeprefix("floor: ")} {mean[best]:.3f}' if best else '',
          '' if ceiling is None else f'{ceiling:.3f}')
