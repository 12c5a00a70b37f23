"""Put faults into a running simulated beamline, list what there is, and heal it again."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from acquisition import channel_access
from acquisition.config import load_file
from acquisition.errors import ServiceError

__all__ = ["SimulationAddress", "active", "add_fault_command", "known_faults", "put_fault"]


@dataclass(frozen=True, slots=True)
class SimulationAddress:
    """Where a simulated beamline listens.

    Attributes
    ----------
    server : str
        ``host:port`` of its IOC; empty: the environment decides.
    prefix : str
        Of its process variables, e.g. ``SIM:``.
    """

    server: str
    prefix: str

    @classmethod
    def of_session(cls, folder: Path) -> "SimulationAddress":
        """The simulation that a session started, by what it wrote to its log below the session's folder."""
        log = Path(folder) / "logs" / "ioc.log"
        try:
            lines = re.findall(r"^READY port=(\d+) .*prefix=(\S+)", log.read_text(errors="replace"), re.MULTILINE)
        except OSError as reason:
            raise ServiceError(f"no simulated beamline has been started in {folder}: {reason}") from reason
        if not lines:
            raise ServiceError(f"the simulated beamline of {folder} is not ready; see {log}")
        port, prefix = lines[-1]
        return cls(f"127.0.0.1:{port}", prefix)

    @classmethod
    def of_file(cls, path: Path) -> "SimulationAddress":
        """The simulation of a beamline file, at the server the file names."""
        file = load_file(path)
        if file.simulation is None:
            raise ServiceError(f"beamline {file.name!r} is not simulated: faults cannot be put")
        return cls(" ".join(file.channel_access.servers), str(file.simulation.get("prefix", "SIM:")))


def known_faults() -> Mapping[str, tuple[str, ...]]:
    """The faults of each device of a simulated microscope or station."""
    from sim.area_detector import FAULTS as CAMERA
    from sim.beamline import MOTORS
    from sim.cell import Cell
    from sim.counters import Ring, Shutter
    from sim.ion_chambers import Foil, IonChambers
    from sim.monochromator import Monochromator
    from sim.motor_record import FAULTS as MOTOR

    return {
        **dict.fromkeys(MOTORS, MOTOR),
        "cam": CAMERA,
        "mono": Monochromator.FAULTS,
        "shutter": Shutter.FAULTS,
        "photon_shutter": Shutter.FAULTS,
        "ring": Ring.FAULTS,
        "foil": Foil.FAULTS,
        "ic": IonChambers.FAULTS,
        "cell": Cell.FAULTS,
        "pv": ("PART OF A NAME",),
        "alarm": ("PART OF A NAME",),
    }


def put_fault(address: SimulationAddress, fault: str, *, timeout: float = 10.0) -> str:
    """Put a fault, e.g. ``cam=hang``; ``cam=`` heals a device, an empty text everything. Returns what is in force.

    Raises
    ------
    ServiceError
        When there is no such fault, or the simulation does not answer.
    """
    device, _, name = (part.strip() for part in fault.partition("="))
    known = known_faults()
    if device and device not in known:
        raise ServiceError(f"fault {fault!r}: no device {device!r}; there are {', '.join(known)}")
    if device not in ("", "pv", "alarm") and name and name not in known[device]:
        raise ServiceError(f"fault {fault!r}: {device} has no fault {name!r}; it has {', '.join(known[device])}")
    channel_access.configure(address.server.split())
    from epics import caput

    record = f"{address.prefix}sim:Fault"
    if caput(record, fault, wait=True, timeout=timeout) != 1:
        raise ServiceError(f"{record} at {address.server or 'the usual servers'} did not take {fault!r}")
    return active(address, timeout=timeout)


def active(address: SimulationAddress, *, timeout: float = 10.0) -> str:
    """The faults in force, ``none`` when there are none."""
    channel_access.configure(address.server.split())
    from epics import caget

    record = f"{address.prefix}sim:FaultsActive"
    answer = caget(record, timeout=timeout)
    if answer is None:
        raise ServiceError(f"{record} at {address.server or 'the usual servers'} did not answer within {timeout} s")
    return str(answer)


def add_fault_command(commands: Any) -> None:
    """Add ``edgewise fault NAME`` to the commands of the command line."""
    fault = commands.add_parser("fault", help="put a fault into a running simulated beamline, or heal it")
    fault.add_argument("fault", nargs="?", help="device=fault, e.g. cam=hang; device= heals it; none: list the faults")
    fault.add_argument("--heal", action="store_true", help="end all faults")
    fault.add_argument("--folder", type=Path, default=Path("demo-output"), help="of the session that runs it")
    fault.add_argument("--file", type=Path, help="beamline file that names the server, instead of --folder")
    fault.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    console = Console(emoji=False)
    if options.fault is None and not options.heal:
        _print_known(console)
        return 0
    where = options.file
    address = SimulationAddress.of_session(options.folder) if where is None else SimulationAddress.of_file(where)
    console.print(f"in force: {put_fault(address, '' if options.heal else options.fault)}", highlight=False)
    return 0


def _print_known(console: Console) -> None:
    table = Table(title="faults of a simulated beamline", title_justify="left")
    for column in ("device", "faults"):
        table.add_column(column)
    for device, faults in known_faults().items():
        table.add_row(device, ", ".join(faults))
    console.print(table)
