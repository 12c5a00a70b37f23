"""IPython for a person at the beamline: the devices, the plans and the RunEngine; or the data of an earlier session."""

import os
from pathlib import Path
from typing import Any

from acquisition.config import BeamlineFile, SpectroscopyFile, located
from acquisition.errors import EdgewiseError
from acquisition.session import Session
from acquisition.tiled_server import RAW, broker

__all__ = ["namespace", "open_folder", "shell", "welcome"]

WELCOME = """Edgewise at {beamline}

  RE             the RunEngine: RE(plan(...))
{names}
  bps, bp        bluesky's plan stubs and plans
  beam           beam.state says whether a scan waits for the storage ring
  session        folders, services, session.documents() of the newest series, session.tiled_client()

A first plan:

{example}
"""

MICROSCOPE = """\
  beamline       energy, sample, detector, shutter, ring, flux; e.g. beamline.energy.position
  xanes_tomography, energy_grid, angle_set       plans and grids; xanes_tomography? shows the help"""

MICROSCOPE_PLAN = """\
  RE(bps.mv(beamline.energy, 8333))
  RE(xanes_tomography(beamline.detector, beamline.energy, beamline.sample.rotation, beamline.sample.x,
      beamline.shutter, energies=[8300, 8345, 8400], angles=angle_set(30), exposure=0.5,
      sample_in={scan.sample_in}, sample_out={scan.sample_out}, monitors=[beamline.ring, beamline.flux]))"""

SPECTROSCOPY = """\
  beamline       energy, chambers, foil, shutter, cell, ring, flux; e.g. beamline.cell.voltage.get()
  energy_scan    a spectrum with its foil; in_situ: spectra while the cell charges; energy_scan? shows the help
  estimate_spectra          how long they take
  read_scans, cell_record   spectra and the cell's record from documents, e.g. read_scans(session.documents())
  charge_report             edges and cell of a series together, as a table and a picture"""

SPECTROSCOPY_PLAN = """\
  regions = [(8200, 8320, 10, 1.0), (8325, 8360, 0.5, 1.0), (8365, 8500, 5, 1.0)]   # first, last, step (eV), seconds
  RE(energy_scan(beamline.chambers, beamline.energy, beamline.shutter, element="Ni", regions=regions,
      foil=beamline.foil, monitors=[{monitors}]))"""

OPENED = """Edgewise: {folder}

  runs           databroker-like catalog: runs[-1], runs[-1]["primary"].read()
  broker         databroker's Broker on the same runs: broker[-1].table()
  maps           valence maps: {maps}
  map_file       the newest map as an open HDF5 file: map_file["map/valence"]
"""


def shell(beamline: str, folder: Path, *, speed: float | None = None, map_settings: Path | None = None) -> None:
    """Open IPython at a beamline; a simulated one is started first, and every process ends with the shell."""
    with Session(located(beamline), folder) as session:
        if map_settings is not None and not isinstance(session.file, BeamlineFile):
            raise EdgewiseError(f"{session.file.name} takes no tomograms: there is nothing to map")
        if session.file.simulation is not None and not session.file.channel_access.servers:
            session.start_simulation(speed=speed)
        session.start_storage()
        if map_settings is not None:
            session.start_live_analysis(map_settings)
        _embed(namespace(session), welcome(session.file))


def welcome(file: BeamlineFile | SpectroscopyFile) -> str:
    """What the opening screen says at a beamline."""
    if isinstance(file, BeamlineFile):
        return WELCOME.format(beamline=file.name, names=MICROSCOPE, example=MICROSCOPE_PLAN.format(scan=file.scan))
    monitors = ", ".join(f"beamline.{name}" for name in ("cell", "ring") if getattr(file.devices, name) is not None)
    return WELCOME.format(beamline=file.name, names=SPECTROSCOPY, example=SPECTROSCOPY_PLAN.format(monitors=monitors))


def namespace(session: Session) -> dict[str, Any]:
    """What a person at the prompt finds: names, nothing hidden."""
    control = session.connect()
    import bluesky.plan_stubs as bps
    import bluesky.plans as bp
    import numpy as np

    names = _tomography_names() if isinstance(session.file, BeamlineFile) else _spectroscopy_names()
    return names | {
        "RE": control.engine,
        "beamline": control.beamline,
        "beam": control.beam,
        "session": session,
        "bps": bps,
        "bp": bp,
        "np": np,
    }


def _tomography_names() -> dict[str, Any]:
    from plans.grids import angle_set, energy_grid
    from plans.xanes_tomography import xanes_tomography

    return {"xanes_tomography": xanes_tomography, "energy_grid": energy_grid, "angle_set": angle_set}


def _spectroscopy_names() -> dict[str, Any]:
    from acquisition.charge_report import charge_report
    from analysis.absorption_runs import read_scans
    from analysis.cell_runs import cell_record
    from plans.energy_scan import energy_scan
    from plans.estimate_spectra import estimate_spectra
    from plans.in_situ import in_situ

    return {
        "energy_scan": energy_scan,
        "in_situ": in_situ,
        "estimate_spectra": estimate_spectra,
        "read_scans": read_scans,
        "cell_record": cell_record,
        "charge_report": charge_report,
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
