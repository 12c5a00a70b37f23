"""Write results to HDF5 so that they stand alone: every number with its unit, uncertainty, parameters and origin."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from analysis.edge import LARGEST_SIGMA, LEAST_JUMP, Code
from analysis.live.valence_map import ValenceMap

__all__ = ["FIXED", "VOLUMES", "parameters", "write_valence_map"]

VOLUMES = {  # name: (unit, what it is)
    "valence": ("", "valence of the element"),
    "valence_sigma": ("", "standard deviation of the valence"),
    "edge": ("eV", "energy at half height of the edge"),
    "edge_sigma": ("eV", "standard deviation of the edge energy"),
    "jump": ("1/um", "edge jump"),
    "jump_sigma": ("1/um", "standard deviation of the edge jump"),
    "depth": ("um", "depth below the surface of the particle"),
    "attenuation": ("1/um", "linear attenuation at the first energy"),
    "mask": ("", "inside the particle"),
    "code": ("", "why a voxel has no value: " + ", ".join(f"{code.value} {code.name}" for code in Code)),
}
FIXED = "depth", "attenuation", "mask"  # by the first energy; every refresh of a map has the same

CROSSING = "last upward crossing of one half below the highest point between the windows"


def parameters(result: ValenceMap) -> dict[str, Any]:
    """Every parameter of a map as JSON-able values."""
    calibration, settings = result.calibration, result.settings
    return {
        "shell_thickness_um": settings.shell_thickness,
        "air_columns": settings.air_columns,
        "smoothing_px": settings.smoothing,
        "flux": settings.flux,
        "windows_asked_for": dataclasses.asdict(settings.normalisation),
        "reference_spectra": [
            {"name": spectrum.name, "source": spectrum.source, "valence": valence}
            for spectrum, valence in settings.references
        ],
        "crossing": CROSSING,
        "least_jump_over_sigma": LEAST_JUMP,
        "largest_edge_sigma_eV": LARGEST_SIGMA,
        "normalisation": dataclasses.asdict(result.normalisation),
        "edge_definition": calibration.edge_definition,
        "element": calibration.element,
        "energy_scale": None if calibration.scale is None else calibration.scale.name,
        "references": calibration.source,
        "rank": int(result.rank),
        "voxel_size_um": float(result.voxel_size),
        "offset_zyx": list(result.offset),
        "field_shape_zyx": list(result.field_shape),
        "rotation_axis_px": float(result.axis.column),
        "rotation_axis_sigma_px": float(result.axis.sigma),
        "energies_eV": [float(energy) for energy in result.energies],
    }


def write_valence_map(path: Path, result: ValenceMap, origin: Mapping[str, Any]) -> None:
    """Write a map to `path`, replacing an older one in one step: a reader sees the old file or the new one, whole.

    Parameters
    ----------
    path
        HDF5 file.
    result
        The map.
    origin
        Where it comes from: series and run uids, their journal, the versions; stored as attributes of the file.
    """
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        with h5py.File(new, "w") as file:
            _write(file, result, origin)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)  # what a full disk has left


def _write(file: h5py.File, result: ValenceMap, origin: Mapping[str, Any]) -> None:
    _attributes(file, {"NX_class": "NXroot", "default": "map", **origin})
    entry = file.create_group("map")
    _attributes(entry, {"NX_class": "NXentry", "default": "valence", "parameters": parameters(result)})
    for name, (unit, meaning) in VOLUMES.items():
        volume = getattr(result, name)
        # Contiguous and not compressed: a map is refreshed while the next energy is being measured.
        dataset = entry.create_dataset(name, data=volume.view(np.uint8) if volume.dtype == np.bool_ else volume)
        _attributes(dataset, {"units": unit, "long_name": meaning, "axes": "z:y:x"})
    _write_shells(entry.create_group("shells"), result)
    _write_calibration(entry.create_group("calibration"), result)
    _write_quality(entry.create_group("energies"), result)


def _write_shells(group: h5py.Group, result: ValenceMap) -> None:
    shells = result.shells
    _attributes(group, {"NX_class": "NXdata", "axes": "depth", "signal": "valence"})
    for name, unit in (
        ("depth_edges", "um"),
        ("depth", "um"),
        ("valence", ""),
        ("valence_sigma", ""),
        ("valence_systematic", ""),
        ("scatter", ""),
        ("edge", "eV"),
        ("edge_sigma", "eV"),
        ("jump", "1/um"),
        ("jump_sigma", "1/um"),
        ("voxels", ""),
        ("energies", "eV"),
        ("spectra", "1/um"),
        ("spectra_sigma", "1/um"),
    ):
        dataset = group.create_dataset(name, data=np.asarray(getattr(shells, name)))
        dataset.attrs["units"] = unit


def _write_calibration(group: h5py.Group, result: ValenceMap) -> None:
    calibration = result.calibration
    for name, unit in (("edge_energies", "eV"), ("valences", ""), ("sigmas", "eV")):
        dataset = group.create_dataset(name, data=np.asarray(getattr(calibration, name)))
        dataset.attrs["units"] = unit


def _write_quality(group: h5py.Group, result: ValenceMap) -> None:
    columns: dict[str, tuple[str, list[Any]]] = {
        "energy": ("eV", [q.energy for q in result.quality]),
        "shift": ("px", [(q.shift.dy, q.shift.dx) for q in result.quality]),
        "shift_sigma": ("px", [q.shift.sigma for q in result.quality]),
        "registration_quality": ("", [q.shift.quality for q in result.quality]),
        "voxel_sigma": ("1/um", [q.voxel_sigma for q in result.quality]),
        "invalid_pixels": ("", [q.invalid_pixels for q in result.quality]),
        "photons_per_pixel": ("", [q.photons for q in result.quality]),
    }
    for name, (unit, values) in columns.items():
        dataset = group.create_dataset(name, data=np.asarray(values))
        dataset.attrs["units"] = unit


def _attributes(node: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        node.attrs[name] = value if isinstance(value, str) else json.dumps(value, default=str)
