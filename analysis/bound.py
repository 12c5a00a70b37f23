"""The Cramér–Rao bound of an edge position: the smallest scatter any unbiased estimate can have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.numbers import real_array
from analysis.spectra import FloatArray

Value = float | NDArray[np.float64]

MODEL_REFERENCE = 8333.0  # eV, where the baseline of the model is read; only its meaning depends on it


def cramer_rao(jacobian: ArrayLike, sigma: ArrayLike, gradient: ArrayLike) -> float:
    """Return the smallest standard deviation of an unbiased estimate of a function of the parameters.

    Parameters
    ----------
    jacobian : [p, E], derivative of the noise-free spectrum by each free parameter
    sigma : [E] or one number, standard deviation of independent Gaussian noise
    gradient : [p], derivative of the wanted quantity by each parameter

    Returns
    -------
    ``sqrt(g . F^-1 . g)`` with the Fisher information ``F = J diag(1/sigma^2) J^T``; inf when the measurement
    does not fix the quantity.

    References
    ----------
    Cramér, Mathematical Methods of Statistics, Princeton University Press (1946), chapter 32.

    Examples
    --------
    The mean of four values:

    >>> cramer_rao(np.ones((1, 4)), 0.2, [1.0])
    0.1
    """
    J = np.atleast_2d(real_array("jacobian", jacobian, np.float64))
    g = np.atleast_1d(real_array("gradient", gradient, np.float64))
    noise = real_array("sigma", sigma, np.float64)
    if J.ndim != 2 or noise.shape not in ((), J.shape[1:]):
        raise ValueError(f"jacobian has shape {J.shape}, sigma {noise.shape}; [p, E] and [E] or one number are needed")
    noise = np.broadcast_to(noise, J.shape[1:])
    if g.shape != J.shape[:1]:
        raise ValueError(f"gradient has shape {g.shape}; the jacobian {J.shape} needs ({J.shape[0]},)")
    if not (np.isfinite(J).all() and np.isfinite(g).all()):
        raise ValueError("the jacobian or the gradient has values that are not finite")
    if not (noise > 0).all():
        raise ValueError(f"sigma {noise.min()} is not positive")
    size = np.linalg.norm(J / noise, axis=1)
    if (size[g != 0] == 0).any():
        return float("inf")
    size = np.where(size > 0, size, 1.0)
    white = J / noise / size[:, None]
    values, vectors = np.linalg.eigh(white @ white.T)
    along = vectors.T @ (g / size)
    lost = values < 1e-12 * values.max()
    if (np.abs(along[lost]) > 1e-6 * np.linalg.norm(g / size)).any():
        return float("inf")
    return float(np.sqrt((along[~lost] ** 2 / values[~lost]).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class EdgeModel:
    """A parametric absorption edge, or N of them: arctangent step, Gaussian white line, straight lines around it.

    Every parameter is a number or an array [N]; spectra then have the shape [E] or [E, N].

    Attributes
    ----------
    center : eV, of the arctangent
    jump : edge jump
    width : eV, of the arctangent
    white_line : height of the white line over the jump
    white_line_offset, white_line_sigma : eV
    baseline, slope : absorption below the edge at 8333 eV and its slope per eV
    post_slope : slope above the edge, per eV, over the jump
    """

    center: Value = 8342.0
    jump: Value = 0.55
    width: Value = 1.0
    white_line: Value = 0.65
    white_line_offset: Value = 7.0
    white_line_sigma: Value = 2.6
    baseline: Value = 0.5
    slope: Value = -4e-4
    post_slope: Value = -2e-4

    def shape(self, energies: ArrayLike) -> FloatArray:
        """Return the normalised spectra at `energies` [E] (eV)."""
        return self._shape_at(self._against(energies) - self.center)

    def mu(self, energies: ArrayLike) -> FloatArray:
        """Return the absorption at `energies` [E] (eV)."""
        line = self.baseline + self.slope * (self._against(energies) - MODEL_REFERENCE)
        return np.asarray(line + self.jump * self.shape(energies))

    def half_height(self) -> FloatArray:
        """Return the energy (eV) where the normalised spectrum rises through one half, [] or [N]."""
        low = self.center - 10 * np.asarray(self.width)
        high = self.center + 2 * np.asarray(self.width)
        for _ in range(50):
            middle = (low + high) / 2
            below = self._shape_at(middle - self.center) < 0.5
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)

    def _shape_at(self, x: FloatArray | float) -> FloatArray:
        peak = np.exp(-((x - self.white_line_offset) ** 2) / (2 * self.white_line_sigma**2))
        step = 0.5 + np.arctan(x / self.width) / np.pi
        return np.asarray(step + self.white_line * peak + self.post_slope * np.maximum(x, 0.0))

    def _against(self, energies: ArrayLike) -> FloatArray:
        energy = real_array("energies", energies, np.float64)
        several = any(np.ndim(getattr(self, f.name)) for f in fields(self))
        return energy[..., None] if several else energy


def edge_bound(
    model: EdgeModel,
    energies: ArrayLike,
    sigma: ArrayLike | Callable[[FloatArray], NDArray[np.float64]],
    *,
    free: tuple[str, ...] = ("center", "jump", "baseline", "slope", "post_slope", "white_line"),
) -> float:
    """Return the bound (eV) of the half-height position of a parametric edge.

    Parameters
    ----------
    model : the true spectrum, one
    energies : [E], eV
    sigma : noise per energy, or a function of the noise-free absorption [E] (photon counting:
        ``lambda mu: np.sqrt(np.exp(mu) / photons)``)
    free : parameters that are not known beforehand

    Examples
    --------
    >>> e = np.linspace(8300, 8400, 101)
    >>> round(edge_bound(EdgeModel(), e, 0.01, free=("center",)), 3)
    0.03
    """
    energy = real_array("energies", energies, np.float64)
    names = [f.name for f in fields(model)]
    several = [name for name in names if np.ndim(getattr(model, name))]
    if several:
        raise ValueError(f"{several[0]} of the model is an array; the bound is that of one spectrum")
    unknown = [name for name in free if name not in names]
    if unknown:
        raise ValueError(f"free parameter {unknown[0]!r} is not one of {names}")
    noise = sigma(model.mu(energy)) if callable(sigma) else sigma
    jacobian, gradient = [], []
    for name in free:
        value = float(getattr(model, name))
        step = 1e-4 if name == "center" else 1e-5 * max(abs(value), 1e-2)
        above, below = replace(model, **{name: value + step}), replace(model, **{name: value - step})
        jacobian.append((above.mu(energy) - below.mu(energy)) / (2 * step))
        gradient.append((above.half_height() - below.half_height()) / (2 * step))
    return cramer_rao(np.array(jacobian), noise, np.array(gradient))
