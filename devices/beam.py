"""What is known of the beam itself: the stored current and the flux on the sample."""

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignalRO

__all__ = ["FluxMonitor", "Ring"]


class Ring(Device):
    """The storage ring."""

    current = Cpt(EpicsSignalRO, "Current", kind="hinted", auto_monitor=True)  # mA
    status = Cpt(EpicsSignalRO, "Status", kind="normal", string=True, auto_monitor=True)


class FluxMonitor(Device):
    """The incident-flux monitor."""

    rate = Cpt(EpicsSignalRO, "Rate", kind="hinted", auto_monitor=True)  # photons/s
