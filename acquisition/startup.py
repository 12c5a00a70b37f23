"""IPython for a person at the beamline: the devices, the plans and the RunEngine; or the data of an earlier session."""

import os
from pathlib import Path
from typing import Any

from acquisition.config import located
from acquisition.errors import EdgewiseError
from acquisition.session import Session
from acquisition.tiled_server import RAW, broker

__all__ = ["namespace", "open_folder", "shell"]

WELCOME = """Edgewise at {beamline}

  RE             the RunEngine: RE(plan(...))
  beamline       energy, sample, detector, shutter, ring, flux; e.g. beamline.energy.position
  xanes_tomography, energy_grid, angle_set       plans and grids; xanes_tomography? shows the help
  bps, bp        bluesky's plan stubs and plans
  session        folders, services and session.tiled_client()

A first plan:

  RE(bps.mv(beamline.energy, 8333))
  RE(xanes_tomography(beamline.detector, beamline.energy, beamline.sample.rotation, beamline.sample.x,
      beamline.shutter, energies=[8300, 8345, 8400], angles=angle_set(30), exposure=0.5,
      sample_in={sample_in}, sample_out={sample_out}, monitors=[beamline.ring, beamline.flux]))
"""

OPENED = """Edgewise: {folder}

  runs           databroker-like catalog: runs[-1], runs[-1]["primary"].read()
  broker         databroker's Broker on the same runs: broker[-1].table()
  maps           valence maps: {maps}
  map_file       the newest map as an open HDF5 file: map_file["map/valence"]
"""


def shell(beamline: str, folder: Path, *, speed: float | None = None, map_settings: Path | None = None) -> None:
    """Open IPython at a beamline; a simulated one is started first, and every process ends with the shell."""
    with Session(located(beamline), folder) as session:
        if session.file.simulation is not None and not session.file.channel_access.servers:
            session.start_simulation(speed=speed)
        session.start_storage()
        if map_settings is not None:
            session.start_live_analysis(map_settings)
        _embed(
            namespace(session),
            WELCOME.format(
                beamline=session.file.name,
                sample_in=session.file.scan.sample_in,
                sample_out=session.file.scan.sample_out,
            ),
        )


def namespace(session: Session) -> dict[str, Any]:
    """What a person at the prompt finds: names, nothing hidden."""
    control = session.connect()
    import bluesky.plan_stubs as bps
    import bluesky.plans as bp
    import numpy as np

    from plans.grids import angle_set, energy_grid
    from plans.xanes_tomography import xanes_tomography

    return {
        "RE": control.engine,
        "beamline": control.beamline,
        "session": session,
        "xanes_tomography": xanes_tomography,
        "energy_grid": energy_grid,
        "angle_set": angle_set,
        "bps": bps,
        "bp": bp,
        "np": np,
    }


def open_folder(folder: Path) -> None:
    """Open IPython with the runs and maps of an earlier session; its Tiled server runs as long as the shell."""
    import h5py

    folder = Path(folder).absolute()
    path = folder / "beamline.toml"
    if not path.exists():
        raise EdgewiseError(f"{folder} holds no beamline.toml: it is not the folder of a session")
    maps = sorted((folder / "results").glob("*.h5"), key=os.path.getmtime)
    with Session(path, folder) as session:
        session.start_storage()
        catalog = session.tiled_client()[RAW]
        names: dict[str, Any] = {"runs": catalog, "broker": broker(catalog), "maps": maps}
        if maps:
            names["map_file"] = h5py.File(maps[-1])
        _embed(names, OPENED.format(folder=folder, maps=len(maps)))


def _embed(names: dict[str, Any], banner: str) -> None:
    from IPython import start_ipython
    from traitlets.config import Config

    config = Config()
    config.TerminalInteractiveShell.banner1 = ""
    config.TerminalInteractiveShell.banner2 = banner
    start_ipython(argv=[], user_ns=names, config=config)
