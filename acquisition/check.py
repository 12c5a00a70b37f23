"""Check a beamline file: connect every device, show each process variable with its value and limits, and what fails."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from acquisition import channel_access
from acquisition.config import BeamlineFile, SpectroscopyFile, load_file, located
from acquisition.errors import ServiceError
from acquisition.simulation import SimulatedBeamline

if TYPE_CHECKING:
    from ophyd import Device

    from acquisition.beamline import Station

__all__ = ["Finding", "Report", "add_check_command", "check_beamline", "survey"]

State = Literal["ok", "alarm", "outside limits", "not connected"]
SEVERITIES = ("", "MINOR", "MAJOR", "INVALID")


@dataclass(frozen=True, slots=True)
class Finding:
    """One process variable.

    Attributes
    ----------
    device, pv : str
    value : object
        None when it is not connected.
    limits : tuple of float or None
        Control limits, where the hardware has any.
    state : str
    reason : str
        What is wrong, empty when nothing is.
    """

    device: str
    pv: str
    value: Any
    limits: tuple[float, float] | None
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found on a beamline."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def failures(self) -> tuple[Finding, ...]:
        """What is not in order."""
        return tuple(finding for finding in self.findings if finding.state != "ok")

    @property
    def ok(self) -> bool:
        """Whether everything connected, without alarm and within its limits."""
        return not self.failures

    def print(self, console: Console) -> None:
        """Print the table, failures last and named again."""
        table = Table(title=self.name, title_justify="left")
        for column in ("device", "process variable", "value", "limits", "state"):
            table.add_column(column, overflow="fold")
        for finding in self.findings:
            limits = "" if finding.limits is None else f"{finding.limits[0]:g}..{finding.limits[1]:g}"
            style = "" if finding.state == "ok" else "bold red"
            # Text, not markup: rich would make a picture of the ring in "SIM:ring:Current".
            cells = (finding.device, finding.pv, _short(finding.value), limits, finding.state)
            table.add_row(*map(Text, cells), style=style)
        console.print(table)
        devices = len({finding.device for finding in self.findings})
        console.print(f"{devices} devices, {len(self.findings)} process variables, {len(self.failures)} fail")
        for finding in self.failures:
            console.print(Text(f"  {finding.device}: {finding.reason}", style="red"))


def check_beamline(
    path: Path, *, simulate: bool = False, timeout: float = 10.0, console: Console | None = None
) -> Report:
    """Read a beamline file, connect every device in it and print what was found.

    Parameters
    ----------
    path
        The beamline file.
    simulate
        Start the file's simulated beamline and check against that.
    timeout
        Seconds within which a device must connect.
    console
        Where to print; the terminal by default.

    Raises
    ------
    ConfigurationError
        When the file cannot be used, with every wrong key.
    """
    file = load_file(path)
    with ExitStack() as stack:
        servers, repeater = list(file.channel_access.servers), None
        if simulate:
            simulated = _start_simulation(file, path, stack)
            servers, repeater = [simulated.server], simulated.port + 1
        channel_access.configure(servers, repeater_port=repeater)
        from acquisition.beamline import build_station

        channel_access.set_timeouts()
        station = build_station(file)
        for device in station.devices():  # before a simulation ends, so that nobody is told of a lost connection
            stack.callback(device.destroy)
        report = survey(file.name, station, timeout=timeout)
        report.print(console or Console())
    return report


def survey(name: str, station: "Station", *, timeout: float) -> Report:
    """Connect the devices of a station side by side and look at each of their process variables."""
    from acquisition.beamline import unconnected

    devices = list(station.devices())
    # As in `connect`: a first connection is asked for twice.
    missing = unconnected(devices, timeout=timeout / 2)
    unconnected([device for device in devices if device.name in missing], timeout=timeout / 2)
    return Report(name, tuple(finding for device in devices for finding in _look(device)))


def add_check_command(commands: Any) -> None:
    """Add ``edgewise check FILE`` to the commands of the command line."""
    check = commands.add_parser("check", help="connect every device of a beamline file and show what fails")
    check.add_argument("file", help="beamline file, or the name of a packaged one")
    check.add_argument("--simulate", action="store_true", help="start the file's simulated beamline first")
    check.add_argument("--timeout", type=float, default=10.0, help="s within which a device must connect")
    check.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    report = check_beamline(located(options.file), simulate=options.simulate, timeout=options.timeout)
    return 0 if report.ok else 1


def _start_simulation(file: BeamlineFile | SpectroscopyFile, path: Path, stack: ExitStack) -> SimulatedBeamline:
    if file.simulation is None:
        raise ServiceError(f"beamline {file.name!r} has no [simulation] table to start")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgewise-check-")))
    simulated = SimulatedBeamline(path, folder / "truth", log=folder / "ioc.log")
    stack.enter_context(simulated.service)
    simulated.wait_until_ready()
    return simulated


def _look(device: "Device") -> Iterator[Finding]:
    from ophyd.signal import EpicsSignalBase

    for walked in device.walk_signals(include_lazy=True):
        signal = walked.item
        if isinstance(signal, EpicsSignalBase):
            yield _finding(device.name, signal)


def _finding(device: str, signal: Any) -> Finding:
    where = f"{signal.name} ({signal.pvname})"
    if not signal.connected:
        return Finding(device, signal.pvname, None, None, "not connected", f"{where} is not connected")
    try:
        value = signal.get()
    except TimeoutError as reason:
        return Finding(device, signal.pvname, None, None, "not connected", f"{where}: {reason}")
    low, high = signal.metadata.get("lower_ctrl_limit"), signal.metadata.get("upper_ctrl_limit")
    limits = (float(low), float(high)) if low is not None and high is not None and low < high else None
    severity = int(signal.alarm_severity or 0)
    if severity:
        wrong = f"{where} is {_short(value)}, in {SEVERITIES[severity]} alarm"
        return Finding(device, signal.pvname, value, limits, "alarm", wrong)
    if limits is not None and isinstance(value, int | float) and not limits[0] <= value <= limits[1]:
        wrong = f"{where} is {value:g}, outside {limits[0]:g}..{limits[1]:g}"
        return Finding(device, signal.pvname, value, limits, "outside limits", wrong)
    return Finding(device, signal.pvname, value, limits, "ok")


def _short(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value) if getattr(value, "ndim", 0) == 0 else f"array of {value.size}"
    return text if len(text) <= 40 else text[:37] + "..."
