"""The simulated beamline as an IOC process: ``python -m sim.ioc --config FILE --prefix SIM: --port 5064``.

Prints one line ``READY port=5064 records=… prefix=SIM:`` on standard output when clients can connect, and
ends cleanly (open HDF5 files closed) on SIGTERM or SIGINT. Listens on 127.0.0.1 only.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def environment(port: int, repeater_port: int) -> dict[str, str]:
    """Return the environment of an IOC process on loopback; one port per IOC.

    The two caproto settings keep it from holding back events for up to 1 s (10 ms more per move otherwise). The
    matrices of the simulation are too small to be worth several threads, which would take turns with the server.
    """
    return {
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_SERVER_PORT": str(port),
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CA_REPEATER_PORT": str(repeater_port),
        "EPICS_CAS_BEACON_PORT": str(repeater_port),
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC": "0.001",
        "CAPROTO_SERVER_MAX_LATENCY_SEC": "0.01",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(prog="python -m sim.ioc", description=__doc__)
    line.add_argument("--config", action="append", type=Path, default=[], help="TOML file; may be repeated")
    line.add_argument("--prefix", action="append", default=[], help="prefix of the records, one per --config")
    line.add_argument("--port", type=int, default=5064, help="Channel Access port (TCP and UDP) on 127.0.0.1")
    line.add_argument("--repeater-port", type=int, help="port of the CA repeater; default: port + 1")
    line.add_argument("--speed", type=float, help="compress motion and exposure by this factor")
    line.add_argument("--truth", type=Path, help="write what the simulation hides to this folder")
    return line


async def run(configs: Sequence[Path], prefixes: Sequence[str], *, speed: float | None, truth: Path | None) -> None:
    """Build and serve the beamlines until SIGTERM or SIGINT."""
    from sim.beamline import build
    from sim.channel_access import serve
    from sim.records import Bank
    from sim.simulation import Simulation

    simulations = [Simulation.from_toml(path) for path in configs] or [Simulation()]
    bank = Bank()
    for index, simulation in enumerate(simulations):
        if index < len(prefixes):
            simulation = simulation.replace(prefix=prefixes[index])
        if speed is not None:
            simulation = simulation.replace(speed=speed)
        beamline = build(simulation)
        bank.update(beamline.bank)
        if truth is not None:
            beamline.write_truth(truth / beamline.simulation.prefix.strip(":") if len(simulations) > 1 else truth)
    names = " ".join(prefixes) or " ".join(simulation.prefix for simulation in simulations)

    def ready(port: int) -> None:
        sys.stdout.write(f"READY port={port} records={len(bank)} prefix={names}\n")
        sys.stdout.flush()

    server = asyncio.ensure_future(serve(bank, ready=ready))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.cancel)
    try:
        await server
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("simulated beamline ended on request")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the IOC; returns the exit status, 2 for a configuration that cannot be used."""
    line = parser()
    options = line.parse_args(arguments)
    if len(options.prefix) > max(1, len(options.config)):
        line.error(f"{len(options.prefix)} prefixes for {len(options.config)} configurations")
    os.environ.update(environment(options.port, options.repeater_port or options.port + 1))
    logging.getLogger("caproto").setLevel(logging.CRITICAL)  # it logs a traceback per beacon without a repeater
    sys.setswitchinterval(5e-4)  # the server shall not wait 5 ms for the thread that makes images
    try:
        asyncio.run(run(options.config, options.prefix, speed=options.speed, truth=options.truth))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"sim.ioc: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
