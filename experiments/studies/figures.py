"""Collects the paper's figures and tables: which were made, and what they say of its claims.

Each figure is an experiment with a directory of its own (`figure2` ... `table4`) whose results.json
`results_file` reads. What is missing, cannot be read, or was made with other settings or versions
than the rest is said, never averaged over: nothing here adds numbers of different figures.
"""

import dataclasses
import json
import pathlib

from alpt_jax import configs
from alpt_jax.files import versions
from alpt_jax.reports import findings
from experiments.studies import report, results_file

PAGE, NUMBERS = 'figures.html', 'figures.json'  # A study in the same directory has other names.
_COMMAND = ('python -m experiments.reproduce '
            '--config=experiments/configs/paper.py:figure={},preset={}')


# Fields of a study that figures should have in common, and others that they need not: CQL has its
# own size, a figure its own methods and games, and where results lie does not matter.
_COMPARED_IN_STUDY = ('study.score.pretrain_steps', 'study.score.num_steps', 'study.score_seeds')
_FREE_IN_SUITE = (
    'workdir', 'data_dir', 'compilation_cache_dir', 'wandb_project', 'method', 'target', 'sources',
    'num_steps', 'eval_every_steps', 'checkpoint_every_steps', 'log_every_steps', 'cql.hidden',
    'cql.learning_rate', 'cql.target_update_steps', 'cql.batch_size', 'cql.num_quantiles')


@dataclasses.dataclass(frozen=True)
class Figure:
  """A figure or table of the paper.

  Attributes:
    name: for the config, '2' or 'table4'.
    title: for readers.
    section: of the paper.
    about: what it shows, in a few words.
    claims: what the paper says of it, for when it was not made.
  """
  name: str
  title: str
  section: str
  about: str
  claims: tuple[str, ...]

  @property
  def directory(self):
    """Name of the directory of its results."""
    return self.title.replace(' ', '').lower()


FIGURES = (
    Figure('2', 'Figure 2', 'section 5.3', 'ALPT and its baselines on Atari',
           ('ALPT scores up to ≈500 % higher than training on the target alone; DT1, DT5 and '
            'DT5-RET are poor',)),
    Figure('3', 'Figure 3', 'section 5.4', 'More source games',
           ('Target game performance improves with more source games',)),
    Figure('4', 'Figure 4', 'section 5.5', 'A source without common actions',
           ('Freeway as the only source gives significant benefits',)),
    Figure('5', 'Figure 5', 'section 5.6', 'Mazes',
           ('A source maze solves the target twice as fast, a tunneled one even faster',)),
    Figure('6', 'Figure 6', 'appendix A', 'Only the IDM is pretrained',
           ('Pretraining the IDM alone maintains strong performance against DT1-IDM',)),
    Figure('table4', 'Table 4', 'appendix C', 'Conservative Q-learning',
           ('CQL on 10,000 labelled frames scores 227.5, 12.3, 10.2, 236.0 and 250.9',)),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
  """What is there of a figure.

  Attributes:
    figure: the `Figure`.
    results: checked results; None if there are none that can be read.
    problem: why not, for readers; '' if they were not made yet.
  """
  figure: Figure
  results: dict | None
  problem: str = ''


def read(workdir):
  """Reads what there is.

  Args:
    workdir: with a directory for each figure that was made.

  Returns:
    A list of `Part`, one a figure.
  """
  parts = []
  for figure in FIGURES:
    path = pathlib.Path(workdir, figure.directory, 'results.json')
    try:
      results = results_file.read(path)
      if results.get('figure') != figure.name:
        raise ValueError(f'{path}: figure is {results.get("figure")!r}; expected {figure.name!r}.')
      parts.append(Part(figure, results))
    except FileNotFoundError:
      parts.append(Part(figure, None))
    except (OSError, ValueError) as error:  # Half-written, damaged, of an older version.
      parts.append(Part(figure, None, str(error)))
  return parts


def command(figure, preset):
  """Returns the command that makes a figure."""
  return _COMMAND.format(figure.name, preset)


def preset_of(parts):
  """Returns the preset of what was made; 'desk' if nothing was."""
  return next((part.results['preset'] for part in parts if part.results), 'desk')


def claims(parts):
  """Lists the paper's claims, one by one.

  Args:
    parts: from `read`.

  Returns:
    A list of (`Figure`, `findings.ClaimRow`).
  """
  rows = []
  for part in parts:
    if part.results:
      rows += [(part.figure, row) for row in report.of(part.results).claim_rows()]
    else:
      why = 'its results cannot be read' if part.problem else command(
          part.figure, preset_of(parts))
      rows += [(part.figure, findings.ClaimRow(part.figure.section, text, why, 'not measured'))
               for text in part.figure.claims]
  return rows


def problems(parts):
  """Lists what a reader must know before comparing figures: sentences."""
  found = [f'{part.figure.title}: {part.problem}' for part in parts if part.problem]
  made = [part for part in parts if part.results]
  found += _differing('preset', {part: part.results['preset'] for part in made})
  found += _differing('versions when gathered',
                      {part: versions.as_text(part.results['versions']) for part in made})
  trained = {}
  for part in made:
    for run in part.results['runs']:
      for text in run.get('versions') or ['not written down']:
        trained.setdefault(text, {}).setdefault(part.figure.title, None)
  if len(trained) > 1:
    found.append('Different versions that trained: ' + '; '.join(
        f'{text} (runs of {", ".join(titles)})' for text, titles in trained.items()) + '.')
  for experiment in dict.fromkeys(part.results['experiment'] for part in made):
    found += _differing_settings([part for part in made
                                  if part.results['experiment'] == experiment])
  for part in made:
    in_part = report.of(part.results).problems()
    found += [f'{part.figure.title}: {sentence}' for sentence in in_part]
  return found


def _differing(what, values):
  """Says in a list of at most one sentence that {part: value} are not all the same."""
  titles = {}
  for part, value in values.items():
    titles.setdefault(value, []).append(part.figure.title)
  return [f'Different {what}: ' + '; '.join(
      f'{value} ({", ".join(names)})' for value, names in titles.items()) + '.'
  ] if len(titles) > 1 else []


def _differing_settings(parts):
  """Says which fields of the config differ between figures, beside those that make a figure."""
  flat = {part: configs.flatten(part.results['config']) for part in parts}
  sentences = []
  for key in sorted({key for config in flat.values() for key in config}):
    if key.startswith('study.') and key not in _COMPARED_IN_STUDY or key in _FREE_IN_SUITE:
      continue
    values = {part: json.dumps(config[key]) for part, config in flat.items() if key in config
              # Updates of a Q-network are not those of a transformer.
              and not (key.startswith('study.score.') and part.figure.name == 'table4')}
    sentences += _differing(key, values)
  return sentences


def summary(parts):
  """Returns the content of figures.json.

  Returns:
    A dict: `claims`, each with figure, section, paper, measured and verdict; `figures`, {title:
    status, directory, command, config digest, versions and when}; `problems`.
  """
  figures = {}
  for part in parts:
    about = {'status': 'made' if part.results else 'damaged' if part.problem else 'not made',
             'directory': part.figure.directory}
    if part.results:
      about |= {key: part.results[key] for key in (
          'command', 'preset', 'config_digest', 'versions', 'created')}
      about |= {'runs': len(part.results['runs']),
                'runs_done': sum(run['status'] == 'done' for run in part.results['runs'])}
    else:
      about['command'] = command(part.figure, preset_of(parts))
    figures[part.figure.title] = about
  return {'claims': [{'figure': figure.title, **row._asdict()} for figure, row in claims(parts)],
          'figures': figures, 'problems': problems(parts)}
