"""Dose for 0.1 eV per pixel on the simulated beamline: chosen energies against the full grid with plain half height.

Run ``python benchmarks/bench_design.py [--quick]``. The simulated microscope images its particle, with photon noise,
flat field, dark current and the bandwidth of the monochromator. A pilot at another angle teaches the basis once, on the
full grid; then the full grid and the chosen energies see the same pixels. The exposure of each is what 0.1 eV takes.
Registration is another subject: image shift and magnification are off.
"""

from __future__ import annotations

import argparse

import numpy as np
from _table import show
from numpy.typing import NDArray

from analysis.design import choose_energies, knowledge_from_spectra
from analysis.edge import Code, fit_edges
from analysis.edge_map import EdgeMap
from analysis.flatfield import optical_density
from analysis.lowrank import learn_basis
from analysis.spectra import Normalisation
from sim.beamline import build
from sim.effects import Effects
from sim.exposure import State
from sim.simulation import Simulation

TARGET = 0.1  # eV, rms over the pixels
RESERVE = 0.85  # of the target is planned for: edges are not normally distributed, as the expectation takes them for
GRID = np.concatenate([np.linspace(8250, 8320, 10), np.arange(8330, 8365, 1.0), np.linspace(8370, 8500, 15)])
WINDOWS = Normalisation(pre=(8250, 8320), post=(8370, 8500), e0=8343)
OFF = {"magnification", "image_shift", "axis_offset"}
FLATS, DARKS = 4, 20
OXIDATIONS = (0.0, 0.5, 1.0)  # of the metals: pristine, half and fully charged, so that edges differ by more than 1 eV
LONGEST = 0.5  # s of a frame: longer ones saturate and are split
Spectra = tuple[NDArray[np.float32], NDArray[np.float64]]


class Microscope:
    """The simulated beamline's camera, at the energies, angle and exposure asked for."""

    def __init__(self, size: int) -> None:
        simulation = Simulation(shape=(size, size), pixel_size=40.0 * 128 / size)
        self.beamline = build(simulation)
        self.photons_per_count = simulation.photons_per_count
        self.on = frozenset(name for name in Effects.names() if getattr(Effects(), name)) - OFF

    def frames(
        self, energy: float, exposure: float, *, count: int = 1, angle: float = 0.0, **change: object
    ) -> NDArray:
        """Frames (frame, row, column) of the particle in focus."""
        lens = self.beamline.lens
        z = lens.focal_length(energy) - lens.focal_length(lens.reference_energy)
        options = {"zone_plate": (0.0, 0.0, z), "duration": exposure, "effects": self.on, **change}
        state = State(energy=float(energy), angle=angle, **options)  # type: ignore[arg-type]
        return np.stack([self.beamline.instrument.image(state) for _ in range(count)])

    def spectra(self, energies: NDArray[np.float64], exposures: NDArray[np.float64], angle: float = 0.0) -> Spectra:
        """Optical density [E, pixel] of all states of charge, and its rms noise [E]; exposures in s."""
        states = [self._spectra(energies, exposures, angle, oxidation) for oxidation in OXIDATIONS]
        return np.concatenate([v for v, _ in states], axis=1), np.mean([s for _, s in states], axis=0)

    def _spectra(
        self, energies: NDArray[np.float64], exposures: NDArray[np.float64], angle: float, oxidation: float
    ) -> Spectra:
        values, sigma = [], []
        for energy, exposure in zip(energies, exposures, strict=True):
            count = int(np.ceil(exposure / LONGEST))
            sample = self.frames(energy, exposure / count, count=count, angle=angle, oxidation=oxidation)
            sample = sample.mean(axis=0, keepdims=True)
            flat = self.frames(
                energy, exposure / count, count=FLATS * count, sample=(2000.0, 0.0, 0.0), oxidation=oxidation
            )
            dark = self.frames(energy, exposure / count, count=DARKS, beam=0.0, oxidation=oxidation)
            density = optical_density(sample, flat, dark, electrons_per_count=self.photons_per_count * count)
            values.append(density.values[0].ravel())
            sigma.append(density.rms_sigma)
        return np.stack(values), np.array(sigma)

    def truth(self, energies: NDArray[np.float64], angle: float = 0.0) -> NDArray[np.float64]:
        """Noise-free optical density [E, pixel]."""
        return np.concatenate([self._truth(energies, angle, oxidation) for oxidation in OXIDATIONS], axis=1)

    def _truth(self, energies: NDArray[np.float64], angle: float, oxidation: float) -> NDArray[np.float64]:
        on, lens = self.on - {"photon_noise", "dark_current"}, self.beamline.lens
        out = []
        for energy in energies:
            z = lens.focal_length(energy) - lens.focal_length(lens.reference_energy)
            place = (0.0, 0.0, z)
            state = State(energy=float(energy), angle=angle, zone_plate=place, effects=on, oxidation=oxidation)
            out.append(-np.log(self.beamline.instrument.transmission(state).astype(np.float64)).ravel())
        return np.stack(out)


def scatter(found: EdgeMap, truth: NDArray[np.float32]) -> tuple[float, float, float]:
    """Rms about the truth (eV), slope of what is found against it (1 if not drawn to the mean), % without an edge."""
    ok = found.code == Code.OK
    energy, true = found.energy[ok].astype(np.float64), truth[ok].astype(np.float64)
    slope = np.polyfit(true - true.mean(), energy - true.mean(), 1)[0]
    return float(np.sqrt(np.mean((energy - true) ** 2))), float(slope), 100 * float(1 - ok.mean())


def compare(size: int) -> None:
    """Print the exposure that each way takes for the target."""
    microscope = Microscope(size)
    fine = np.concatenate([GRID[GRID < 8325], np.arange(8330, 8364.1, 0.25), GRID[GRID > 8366]])
    clean = microscope.truth(fine)
    jump = clean[fine > 8380].mean(axis=0) - clean[fine < 8320].mean(axis=0)
    pixels = np.flatnonzero(jump > 0.5 * jump.max())
    truth = fit_edges(fine, clean[:, pixels], sigma=1e-4, normalisation=WINDOWS, rank=fine.size).energy
    rows: list[list[object]] = []
    full, exposure = float("nan"), 0.5
    for _ in range(3):  # photon noise: the scatter falls with the root of the exposure
        values, sigma = microscope.spectra(GRID, np.full(GRID.size, exposure))
        plain = fit_edges(GRID, values[:, pixels], sigma=sigma, normalisation=WINDOWS, rank=GRID.size)
        full, slope, lost = scatter(plain, truth)
        tried, exposure = exposure, exposure * (full / TARGET) ** 2
    dose = GRID.size * tried
    rows.append(["full grid, plain half height", GRID.size, dose, 1.0, full, slope, lost])
    again = fit_edges(GRID, values[:, pixels], sigma=sigma, normalisation=WINDOWS)
    rows.append(["the same spectra, low-rank half height", GRID.size, dose, 1.0, *scatter(again, truth)])

    pilot, pilot_sigma = microscope.spectra(GRID, np.full(GRID.size, tried), angle=90.0)
    seen = pilot[GRID > 8380].mean(axis=0) - pilot[GRID < 8320].mean(axis=0)
    pilot = np.ascontiguousarray(pilot[:, seen > 0.5 * seen.max()])
    one_second = sigma * np.sqrt(tried)
    known = knowledge_from_spectra(GRID, pilot, sigma=pilot_sigma, noise=one_second, normalisation=WINDOWS)
    basis = learn_basis(GRID, pilot, pilot_sigma)
    choices = tried * np.array([0.25, 0.5, 1.0, 2.0])
    planned, _ = choose_energies(known, target=RESERVE * TARGET, exposures=tuple(choices))
    at = np.flatnonzero(planned.exposures > 0)
    values, sigma = microscope.spectra(GRID[at], planned.exposures[at])
    chosen = fit_edges(GRID[at], values[:, pixels], sigma=sigma, normalisation=WINDOWS, basis=basis)
    spent = float(planned.exposures.sum())
    rows.append(["chosen energies, pilot basis", at.size, spent, dose / spent, *scatter(chosen, truth)])
    show(
        f"simulated beamline, {pixels.size} pixels, edges spread by {truth.std():.2f} eV; target {TARGET} eV",
        ["", "energies", "exposure (s)", "less dose", "rms (eV)", "slope", "% without edge"],
        rows,
    )
    print("chosen:", ", ".join(f"{GRID[i]:.0f} eV {planned.exposures[i]:.2f} s" for i in at))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pixels")
    compare(48 if parser.parse_args().quick else 96)


if __name__ == "__main__":
    main()
