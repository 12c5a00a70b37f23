"""A number that the devices themselves keep, such as a tolerance, with its unit in the documents."""

from typing import Any

from ophyd import Signal

__all__ = ["Setting"]


class Setting(Signal):
    """A soft signal with a unit, which `describe` gives beside its shape."""

    def __init__(self, *args: Any, units: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._units = units

    def describe(self) -> dict[str, Any]:
        """Data key with ``units``."""
        described: dict[str, Any] = super().describe()
        described[self.name]["units"] = self._units
        return described
