"""The paper's methods as data: which network trains on which data, in which phase (Tables 1 and 2).

The data sets have the paper's names (section 3.3):

  SOURCES    union of D_d: the source environments, fully labelled.
  LABELLED   D*+: the target's few labelled windows.
  TARGET     D*+ and D*- together: all of the target's data, most of it without actions.

Atari runs `pretrain`, then `finetune` on the target; the maze runs `joint` (section 5.6: the paper
trains "all at the same time (no separate finetuning stage)"). Where a method has no pretraining,
`pretrain` is None. A row is all there is to a method: `learners/` and `training/` know no names.

CQL, of appendix C, trains neither IDM nor DT but a Q-network: `Method.learner` says so.
"""

import dataclasses

SOURCES = 'sources'
LABELLED = 'labelled'
TARGET = 'target'

# What the DT does with the target's unlabelled transitions.
LABEL_WITH_IDM = 'idm'  # Trains on the IDM's labels, refreshed at every update.
TRUE_ACTIONS = 'true'  # Trains on the true action of all: not action limited, an upper bound.
KNOWN_ACTIONS = 'known'  # Trains on every action that the data has, be it an IDM's label.
RETURNS_ONLY = 'returns'  # Trains its return prediction only.

PHASES = ('joint', 'pretrain', 'finetune')


@dataclasses.dataclass(frozen=True)
class Phase:
  """Data of one training phase; environments in it are mixed with equal weight.

  Attributes:
    idm: what the IDM trains on; empty if it does not train.
    agent: what the agent, e.g. the DT, trains on; empty if it does not train.
    unlabelled: what happens to TARGET's unlabelled transitions.
  """
  idm: tuple[str, ...] = ()
  agent: tuple[str, ...] = ()
  unlabelled: str = LABEL_WITH_IDM

  @property
  def is_labelled_by_idm(self):
    """Whether an IDM labels unlabelled transitions."""
    return bool(self.idm) and self.unlabelled == LABEL_WITH_IDM


@dataclasses.dataclass(frozen=True)
class Method:
  """A row of Table 2, or of the appendices.

  Attributes:
    description: a sentence.
    joint, finetune, pretrain: its phases; `pretrain` is None if there is none.
    learner: which algorithm trains, a key of `learner.LEARNERS`.
  """
  description: str
  joint: Phase
  finetune: Phase
  pretrain: Phase | None = None
  learner: str = 'alpt'

  @property
  def uses_sources(self):
    """Whether any phase reads source environments."""
    phases = [p for p in (self.joint, self.pretrain, self.finetune) if p]
    return any(SOURCES in p.idm + p.agent for p in phases)

  @property
  def is_action_limited(self):
    """Whether it matters how many transitions of the target are labelled."""
    return self.finetune.unlabelled not in (TRUE_ACTIONS, KNOWN_ACTIONS)


def phase_of(method_name, phase_name):
  """Looks up a phase.

  Args:
    method_name: a key of METHODS.
    phase_name: one of PHASES.

  Returns:
    The `Phase`.

  Raises:
    ValueError: for unknown names, or for a phase that the method does not have.
  """
  if method_name not in METHODS:
    raise ValueError(f'Unknown method {method_name!r}; expected one of {sorted(METHODS)}.')
  if phase_name not in PHASES:
    raise ValueError(f'Unknown phase {phase_name!r}; expected one of {PHASES}.')
  phase = getattr(METHODS[method_name], phase_name)
  if phase is None:
    raise ValueError(f'Method {method_name!r} has no phase {phase_name!r}: it trains on the target '
                     'only. Use "joint" or "finetune".')
  return phase


_FEW_LABELS = Phase(agent=(LABELLED,))
_TARGET_WITH_IDM = Phase(idm=(LABELLED,), agent=(TARGET,))
_ORACLE = Phase(agent=(TARGET,), unlabelled=TRUE_ACTIONS)
_DT = Phase(agent=(TARGET,), unlabelled=KNOWN_ACTIONS)

METHODS = {
    'dt1': Method(
        'DT on the labelled part of the target alone.',
        joint=_FEW_LABELS, finetune=_FEW_LABELS),
    'dt5': Method(
        'DT pretrained on all labelled data, finetuned on the labelled part of the target.',
        joint=Phase(agent=(SOURCES, LABELLED)),
        pretrain=Phase(agent=(SOURCES, LABELLED)), finetune=_FEW_LABELS),
    'dt1_idm': Method(
        'IDM on the labelled part of the target; DT on the whole target with its labels.',
        joint=_TARGET_WITH_IDM, finetune=_TARGET_WITH_IDM),
    # Table 2 says 1 game, section 5.2 pretrains on all data; we follow 5.2. The labelled part is a
    # stream of its own: of 100M transitions, 10,000 are 0.13 in a batch of 256 windows of 5.
    'dt5_ret': Method(
        'As dt5, and the unlabelled part of the target trains the return prediction.',
        joint=Phase(agent=(SOURCES, LABELLED, TARGET), unlabelled=RETURNS_ONLY),
        pretrain=Phase(agent=(SOURCES, LABELLED, TARGET), unlabelled=RETURNS_ONLY),
        finetune=Phase(agent=(LABELLED, TARGET), unlabelled=RETURNS_ONLY)),
    'alpt': Method(
        'Table 1: the IDM trains on all labels, labels the target; the DT trains on everything.',
        joint=Phase(idm=(SOURCES, LABELLED), agent=(SOURCES, TARGET)),
        pretrain=Phase(idm=(SOURCES, LABELLED), agent=(SOURCES, TARGET)),
        finetune=_TARGET_WITH_IDM),
    'alpt_idm_only': Method(
        'Appendix A: only the IDM sees the sources; the DT starts from scratch on the target.',
        joint=Phase(idm=(SOURCES, LABELLED), agent=(TARGET,)),
        pretrain=Phase(idm=(SOURCES, LABELLED)), finetune=_TARGET_WITH_IDM),
    'oracle': Method(
        'DT on the target with every true action: what labels can at most achieve.',
        joint=_ORACLE, finetune=_ORACLE),
    'dt': Method(
        'DT on the target with every action that the data has, such as those an IDM has labelled.',
        joint=_DT, finetune=_DT),
    'cql': Method(
        'Appendix C: conservative Q-learning on the labelled part of the target.',
        joint=_FEW_LABELS, finetune=_FEW_LABELS, learner='cql'),
}
