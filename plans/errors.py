"""Why a plan refuses to start or to go on.

PlanError
├── PlanRefused    an argument cannot be carried out; nothing has moved
└── NotInPosition  a read-back disagrees with the plan; nothing has been exposed there
"""


class PlanError(RuntimeError):
    """A plan cannot do what was asked."""


class PlanRefused(PlanError, ValueError):
    """An argument cannot be carried out; nothing has moved."""


class NotInPosition(PlanError):
    """A read-back disagrees with the plan; nothing has been exposed there."""
