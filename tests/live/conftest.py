"""A small simulated series: frames of the instrument itself, in files and documents as a run would leave them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import event_model
import h5py
import numpy as np
import pytest

from analysis.energy_scale import EnergyScale
from analysis.live.series import FrameBlock, Tomogram
from analysis.live.valence_map import MapSettings
from analysis.spectra import Normalisation
from analysis.spectrum_files import read_spectrum
from sim.absorption import write_standards
from sim.beamline import build
from sim.exposure import Effects, State
from sim.optics import SILICON_111_BANDWIDTH
from sim.simulation import Simulation

ENERGIES = (8250.0, 8310.0, 8375.0, 8440.0, 8340.0, 8346.0, 8343.0, 8349.0, 8341.5, 8344.5, 8347.5, 8337.0)
ANGLES, FLATS, DARKS, EXPOSURE = 60, 10, 20, 0.5
OUT = 2000.0  # µm
Documents = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Series:
    """Tomograms in the order in which they were taken, what makes them a map, and the truth."""

    tomograms: tuple[Tomogram, ...]
    settings: MapSettings
    specimen: Any

    def true_valence(self, shallow: float, deep: float) -> float:
        """Mean valence of the metal atoms between two depths (µm)."""
        s = self.specimen
        inside = (s.depth >= shallow) & (s.depth < deep) & (s.density > 0)
        return float(np.average(s.valences["Ni"][inside], weights=s.density[inside]))


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """The whole series, photon noise and all."""
    folder = tmp_path_factory.mktemp("series")
    simulation = Simulation(shape=(64, 64), pixel_size=320.0, seed=11)
    beamline = build(simulation)
    take = _camera(beamline)
    dark = _block(folder / "dark.h5", np.array([take(8300.0, 0.0, beam=0.0) for _ in range(DARKS)]))
    angles = np.arange(ANGLES) * 180.0 / ANGLES
    tomograms = []
    for energy in ENERGIES:
        flat = np.array([take(energy, 0.0, x=OUT) for _ in range(FLATS)])
        frames = np.array([take(energy, angle) for angle in angles])
        tomograms.append(
            Tomogram(
                planned=energy,
                energy=energy,
                pixel_size=1e-3 * simulation.pixel_size * energy / beamline.lens.reference_energy,
                projections=_block(folder / f"{energy}.h5", frames, angles),
                flat=_block(folder / f"{energy}_flat.h5", flat),
                dark=dark,
                run_uid="run",
                photons_per_count=simulation.photons_per_count,
            )
        )
    return Series(tuple(tomograms), _settings(folder, simulation), beamline.specimen)


def _camera(beamline: Any) -> Callable[..., Any]:
    lens = beamline.lens
    effects = frozenset(name for name in Effects.names() if getattr(Effects(), name))

    def take(energy: float, angle: float, *, x: float = 0.0, beam: float = 1.0) -> Any:
        focus = lens.focal_length(energy) - lens.focal_length(lens.reference_energy)
        return beamline.instrument.image(
            State(
                energy=energy, angle=angle, sample=(x, 0.0, 0.0), zone_plate=(0.0, 0.0, focus), beam=beam,
                duration=EXPOSURE, time=0.0, binning=(1, 1), effects=effects,
            )
        )  # fmt: skip

    return take


def _block(path: Path, frames: Any, angles: Any = None) -> FrameBlock:
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("frames", data=frames, chunks=(1, *frames.shape[1:]), maxshape=(None, *frames.shape[1:]))
        if angles is not None:
            file["angle"] = angles
    return FrameBlock(
        frames=(path, "frames"),
        angle=None if angles is None else (path, "angle"),
        shape=frames.shape,
        exposure=EXPOSURE,
        time=1.7e9,
    )


def _settings(folder: Path, simulation: Simulation) -> MapSettings:
    references = simulation.load_references()
    paths = write_standards(folder, "Ni", references, resolution=SILICON_111_BANDWIDTH)
    scale = EnergyScale("foil at 8333 eV", "Ni", 8333.0)
    valences = sorted(reference.valence for reference in references)
    return MapSettings(
        element="Ni",
        normalisation=Normalisation(pre=(8250.0, 8325.0), post=(8370.0, 8440.0), e0=8344.0),
        references=tuple(
            (read_spectrum(path, element="Ni", scale=scale), valence)
            for path, valence in zip(paths, valences, strict=True)
        ),
        shell_thickness=0.9,
        air_columns=4,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Tomogram], Tomogram]:
    """Return a function that gives a tomogram whose file of projections can be spoiled."""

    def copy(tomogram: Tomogram) -> Tomogram:
        path = tmp_path / tomogram.projections.frames[0].name
        path.write_bytes(tomogram.projections.frames[0].read_bytes())
        return replace(
            tomogram, projections=replace(tomogram.projections, frames=(path, "frames"), angle=(path, "angle"))
        )

    return copy


@pytest.fixture(scope="session")
def documents_of() -> Callable[..., Iterator[tuple[str, dict[str, Any]]]]:
    """Return a maker of the documents of a run that took some tomograms."""

    def make(tomograms: Any, *, series_uid: str = "series-a", energies: Any = ENERGIES, stop: bool = True) -> Documents:
        run = event_model.compose_run(
            metadata={
                "plan_name": "xanes_tomography", "plan_args": {"energies": list(energies)}, "series_uid": series_uid,
                "detectors": ["camera"], "hints": {"dimensions": [[["energy"], "primary"]]},
            },
            time=1.7e9,
        )  # fmt: skip
        documents: Documents = [("start", dict(run.start_doc))]
        streams: dict[str, Any] = {}

        def event(stream: str, block: FrameBlock, data: dict[str, float]) -> None:
            if stream not in streams:
                streams[stream] = run.compose_descriptor(
                    name=stream,
                    data_keys=_data_keys(block, data),
                    configuration={
                        "camera": {"data": {"camera_photons_per_count": 8.0}, "timestamps": {}, "data_keys": {}}
                    },
                    object_keys={"camera": [*_data_keys(block, data)]},
                    validate=False,
                )
                documents.append(("descriptor", dict(streams[stream].descriptor_doc)))
            counters[stream] = number = counters.get(stream, 0) + 1
            for key, location in (("camera_frames", block.frames), ("camera_angle", block.angle)):
                if location is None:
                    continue
                resource = run.compose_stream_resource(
                    mimetype="application/x-hdf5", uri=f"file://localhost{location[0]}", data_key=key,
                    parameters={"dataset": location[1]},
                )  # fmt: skip
                documents.append(("stream_resource", dict(resource.stream_resource_doc)))
                datum = resource.compose_stream_datum(
                    {"start": 0, "stop": 1}, {"start": number, "stop": number + 1}, streams[stream].descriptor_doc
                )
                documents.append(("stream_datum", dict(datum)))
            values = {"camera_exposure": block.exposure, **data}
            found = streams[stream].compose_event(
                data=values, timestamps=dict.fromkeys(values, 1.7e9), seq_num=number, validate=False
            )
            documents.append(("event", dict(found)))

        counters: dict[str, int] = {}
        for number, tomogram in enumerate(tomograms):
            if number == 0:
                event("dark", tomogram.dark, {})
            where = {"energy": tomogram.energy, "energy_setpoint": tomogram.planned}
            event("flat", tomogram.flat, where)
            event("primary", tomogram.projections, {**where, "camera_pixel_size": 1e3 * tomogram.pixel_size})
        if stop:
            documents.append(("stop", dict(run.compose_stop())))
        return documents

    return make


def _data_keys(block: FrameBlock, data: dict[str, float]) -> dict[str, Any]:
    keys = {
        name: {"source": "simulation", "dtype": "number", "shape": [], "dtype_numpy": "<f8"}
        for name in ("camera_exposure", *data)
    }
    keys["camera_frames"] = {
        "source": "camera", "dtype": "array", "shape": list(block.shape), "dtype_numpy": "<u2", "external": "STREAM:",
    }  # fmt: skip
    if block.angle is not None:
        keys["camera_angle"] = {**keys["camera_frames"], "shape": [block.shape[0]], "dtype_numpy": "<f8"}
    return keys
