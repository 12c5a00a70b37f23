"""Put faults into a running simulated beamline, list what there is, and heal it again."""

import argparse
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from acquisition import channel_access
from acquisition.config import load_file
from acquisition.errors import ServiceError

__all__ = ["SimulationAddress", "active", "add_fault_command", "check_fault", "known_faults", "put_fault"]


BY_NAME = ("pv", "alarm", "invalid")  # act on every process variable whose name contains the text
HELP = """\
faults of a simulated beamline, e.g.

  edgewise fault                          list the faults of every device
  edgewise fault cam=hang                 the camera of the session in ./demo-output hangs
  edgewise fault cam=                     the camera is well again
  edgewise fault pv=sample:x              every process variable with sample:x in its name is gone
  edgewise fault --heal                   everything is well again
  edgewise fault ring=dump --folder session

docs/reference/faults.md says, fault by fault, with which error a running scan ends and within which time."""
NEXT = """\
A running scan now ends as docs/reference/faults.md says: failed, with the device named and the shutter closed; only a
beam dump makes it wait. End the fault with `edgewise fault {device}= {where}`, or all of them with `--heal` in place of
`{device}=`, then start the scan again; with series_uid="..." of the failed run it continues that series."""


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
        **dict.fromkeys(BY_NAME, ("PART OF A NAME",)),
    }


def check_fault(fault: str) -> None:
    """Refuse a fault that no simulated device has, with the nearest there are: ``cam=hung`` is told of ``cam=hang``."""
    device, _, name = (part.strip() for part in fault.partition("="))
    known = known_faults()
    if device and device not in known:
        raise ServiceError(
            f"fault {fault!r}: no device {device!r}{_meant(device, known)}; there are {', '.join(known)}"
        )
    if name and device not in BY_NAME and name not in known[device]:
        meant = _meant(name, known[device], before=f"{device}=")
        raise ServiceError(f"fault {fault!r}: {device} has no fault {name!r}{meant}; it has {', '.join(known[device])}")
    if device and "=" not in fault:
        raise ServiceError(f"fault {fault!r}: say {device}=FAULT, with one of {', '.join(known[device])}, or {device}=")


def _meant(word: str, known: Iterable[str], *, before: str = "") -> str:
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(before + name for name in near)}?)" if near else ""


def put_fault(address: SimulationAddress, fault: str, *, timeout: float = 10.0) -> str:
    """Put a fault, e.g. ``cam=hang``; ``cam=`` heals a device, an empty text everything. Returns what is in force.

    Raises
    ------
    ServiceError
        When there is no such fault, or the simulation does not answer.
    """
    check_fault(fault)
    _point_at(address)
    from epics import caput

    record = f"{address.prefix}sim:Fault"
    if caput(record, fault, wait=True, timeout=timeout) != 1:
        raise ServiceError(f"{record} at {address.server or 'the usual servers'} did not take {fault!r}")
    return active(address, timeout=timeout)


def active(address: SimulationAddress, *, timeout: float = 10.0) -> str:
    """The faults in force, ``none`` when there are none."""
    _point_at(address)
    from epics import caget

    record = f"{address.prefix}sim:FaultsActive"
    answer = caget(record, timeout=timeout)
    if answer is None:
        raise ServiceError(f"{record} at {address.server or 'the usual servers'} did not answer within {timeout} s")
    return str(answer)


def _point_at(address: SimulationAddress) -> None:
    """Point Channel Access at the simulation; its repeater, if it needs one, is at the port beside."""
    servers = address.server.split()
    port = servers[0].rpartition(":")[2] if len(servers) == 1 else ""
    channel_access.configure(servers, repeater_port=int(port) + 1 if port.isdigit() else None)


def add_fault_command(commands: Any) -> None:
    """Add ``edgewise fault NAME`` to the commands of the command line."""
    fault = commands.add_parser(
        "fault",
        help="put a fault into a running simulated beamline, or heal it",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    check_fault("" if options.heal else options.fault)  # before anything is asked of a server
    where = options.file
    address = SimulationAddress.of_session(options.folder) if where is None else SimulationAddress.of_file(where)
    console.print(f"in force: {put_fault(address, '' if options.heal else options.fault)}", highlight=False)
    device, _, name = (options.fault or "").partition("=")
    if name and not options.heal:
        where_again = f"--file {options.file}" if options.file else f"--folder {options.folder}"
        console.print(NEXT.format(device=device, where=where_again), highlight=False, soft_wrap=True)
    return 0


def _print_known(console: Console) -> None:
    table = Table(title="faults of a simulated beamline", title_justify="left")
    for column in ("device", "faults"):
        table.add_column(column)
    for device, faults in known_faults().items():
        table.add_row(device, ", ".join(faults))
    console.print(table)
    console.print("Put one with `edgewise fault DEVICE=FAULT`; `edgewise fault --help` has examples.", highlight=False)
