"""The wheel of reference foils of the bulk absorption station."""

from collections.abc import Mapping

from devices.errors import FoilError
from devices.switch import Switch

__all__ = ["Foil"]


class Foil(Switch):
    """Metal foils between the last two ion chambers, set to ``"out"`` or to an element; fails with `FoilError`.

    Which foils the wheel carries is read from the hardware: the choices of its command. Whether a metal is there at
    all only a spectrum of the last chamber can tell.
    """

    failure = FoilError

    def states(self) -> Mapping[str, tuple[str, str]]:
        """``"out"`` and the elements of the foils."""
        return {name.lower() if name == "Out" else name: (name, name) for name in self.command.enum_strs or ()}
