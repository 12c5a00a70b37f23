"""What a start document says of its plan, complete enough to plan the run again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from plans.errors import PlanRefused

__all__ = ["plan_metadata"]


def plan_metadata(plan_name: str, arguments: Mapping[str, Any], md: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metadata with the plan's name and its complete arguments, devices by name.

    The user's own `md` comes on top but may not replace ``plan_name`` and ``plan_args``.

    Raises
    ------
    PlanRefused
        When an argument has no JSON form: such a run could never be planned again.
    """
    described = {name: _plain(name, value) for name, value in arguments.items()}
    return {**(md or {}), "plan_name": plan_name, "plan_args": described}


def _plain(path: str, value: Any) -> Any:
    if hasattr(value, "name") and not isinstance(value, type):
        return str(value.name)
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{path}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(f"{path}[{position}]", item) for position, item in enumerate(value)]
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as reason:
        raise PlanRefused(f"argument {path} = {value!r} cannot be recorded: {reason}") from reason
    return value
