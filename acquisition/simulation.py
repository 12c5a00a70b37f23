"""The simulated beamline as a process of the service: started from the beamline file, reached over Channel Access."""

from pathlib import Path

from acquisition.channel_access import free_port_pair
from acquisition.errors import ServiceError
from acquisition.processes import Service

__all__ = ["SimulatedBeamline"]


class SimulatedBeamline:
    """The IOC process of a beamline file's ``[simulation]`` table.

    Parameters
    ----------
    file
        The beamline file.
    truth
        Folder in which the simulation writes what it hides, for comparison afterwards.
    log
        Log file of the process.
    speed
        Motion and exposure are compressed by this factor; None leaves what the file says.
    """

    def __init__(self, file: Path, truth: Path, *, log: Path, speed: float | None = None) -> None:
        self._file, self.truth, self.port = file, truth, free_port_pair()
        truth.mkdir(parents=True, exist_ok=True)
        arguments = ["-m", "sim.ioc", "--config", str(file), "--port", str(self.port)]
        arguments += ["--repeater-port", str(self.port + 1), "--truth", str(truth)]
        if speed is not None:
            arguments += ["--speed", str(speed)]
        self.service = Service("simulated beamline", arguments, log=log)

    @property
    def server(self) -> str:
        """Address for Channel Access clients."""
        return f"127.0.0.1:{self.port}"

    def wait_until_ready(self, *, timeout: float = 60.0) -> None:
        """Wait until clients can connect."""
        self.service.wait_for("READY", timeout=timeout)

    def write_standards(self, folder: Path) -> list[tuple[Path, float]]:
        """The reference compounds as this beamline measures them, one XDI file each, with their valence."""
        from sim.absorption import write_standards
        from sim.optics import SILICON_111_BANDWIDTH
        from sim.simulation import Simulation

        try:
            simulation = Simulation.from_toml(self._file)
            references = simulation.load_references()
        except ValueError as reason:  # what the simulation refuses, in its own words
            raise ServiceError(str(reason)) from reason
        resolution = SILICON_111_BANDWIDTH if simulation.effects.bandwidth else 0.0
        paths = write_standards(folder, simulation.element, references, resolution=resolution)
        return list(zip(paths, sorted(reference.valence for reference in references), strict=True))
