"""X-ray absorption spectra and their normalisation by pre-edge and post-edge lines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.numbers import real_array, sigma_array

if TYPE_CHECKING:
    from analysis.energy_scale import EnergyScale

FloatArray = NDArray[np.float64]

# A line through a few close points may not be extrapolated to the edge: where one point's noise would grow
# by more than this factor on the way, a lower order is used.
MAX_NOISE_GAIN = 4.0


def checked_energies(energies: ArrayLike, *, least: int = 2) -> FloatArray:
    """Return `energies` (eV) as float64 after checking that they are finite and strictly increasing.

    Raises
    ------
    ValueError
        With the offending index and values.

    Examples
    --------
    >>> checked_energies([8333, 8334.5])
    array([8333. , 8334.5])
    """
    energy = real_array("energies", energies, np.float64)
    if energy.ndim != 1 or energy.size < least:
        raise ValueError(f"energies have shape {energy.shape}; at least {least} in one dimension are needed")
    if not np.isfinite(energy).all():
        index = int(np.flatnonzero(~np.isfinite(energy))[0])
        raise ValueError(f"energy number {index} is {energy[index]}; energies must be finite")
    falling = np.flatnonzero(np.diff(energy) <= 0)
    if falling.size:
        i = int(falling[0])
        raise ValueError(f"energies {energy[i]:g}, {energy[i + 1]:g} eV (numbers {i}, {i + 1}) do not increase")
    return energy


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """One absorption spectrum.

    Attributes
    ----------
    energy : float64 [E], eV, strictly increasing
    mu : float64 [E], absorption in any unit (or already normalised)
    sigma : float64 [E] or None, standard deviation of `mu`
    name, element, edge : what was measured, e.g. "NiO", "Ni", "K"
    scale : the energy scale, or None when it is not known
    source : where the data come from (file, DOI)
    """

    energy: FloatArray
    mu: FloatArray
    sigma: FloatArray | None = None
    name: str = ""
    element: str = ""
    edge: str = ""
    scale: EnergyScale | None = None
    source: str = ""

    def __post_init__(self) -> None:
        energy = checked_energies(self.energy)
        object.__setattr__(self, "energy", energy)
        for what in ("mu", "sigma"):
            given = getattr(self, what)
            if given is None:
                continue
            values = real_array(f"{what} of {self.name!r}", given, np.float64)
            if values.shape != energy.shape:
                raise ValueError(f"{what} of {self.name!r} has shape {values.shape}, energies {energy.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"{what} of {self.name!r} has {np.sum(~np.isfinite(values))} non-finite values")
            object.__setattr__(self, what, values)
        if self.sigma is not None and (self.sigma < 0).any():
            raise ValueError(f"sigma of {self.name!r} is negative at {energy[np.argmin(self.sigma)]:g} eV")


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Windows and orders of the pre-edge and post-edge lines; stored with every result that depends on them.

    Attributes
    ----------
    pre, post : (low, high) in eV, both inclusive
    pre_order, post_order : polynomial orders, 0..3
    e0 : eV, where the edge jump is read: a fixed energy near the edge, the same for all spectra compared

    Examples
    --------
    >>> Normalisation(pre=(8250, 8320), post=(8370, 8500), e0=8343).post_order
    1
    """

    pre: tuple[float, float]
    post: tuple[float, float]
    pre_order: int = 1
    post_order: int = 1
    e0: float = field(kw_only=True)

    def __post_init__(self) -> None:
        for name, (low, high) in (("pre", self.pre), ("post", self.post)):
            if not (np.isfinite(low) and np.isfinite(high) and low <= high):
                raise ValueError(f"{name}-edge window {low}..{high} eV is empty")
        if not self.pre[1] < self.e0 < self.post[0]:
            raise ValueError(
                f"e0 {self.e0} eV is not between the pre-edge window {self.pre} and the post-edge {self.post}"
            )
        for name, order in (("pre", self.pre_order), ("post", self.post_order)):
            if order not in (0, 1, 2, 3):
                raise ValueError(f"{name}_order {order} is outside 0..3")

    def effective(self, energies: ArrayLike) -> Normalisation:
        """Return this with orders lowered where `energies` (eV) are too few or too close in a window.

        Raises
        ------
        ValueError
            When a window holds no energy at all.
        """
        energy = real_array("energies", energies, np.float64)
        pre = _order_carried("pre-edge", energy, self.pre, self.pre_order, self.e0)
        post = _order_carried("post-edge", energy, self.post, self.post_order, self.e0)
        return replace(self, pre_order=pre, post_order=post)


@dataclass(frozen=True, slots=True, eq=False)
class LineOperator:
    """The normalisation as linear maps of a spectrum on a fixed energy grid.

    Attributes
    ----------
    pre : float64 [E, E]; ``pre @ mu`` is the pre-edge line at every energy
    post : float64 [E, E]; ``post @ mu`` is the post-edge line of the pre-edge-subtracted spectrum
    jump : float64 [E]; ``jump @ mu`` is the edge jump at e0
    normalisation : the windows with the orders actually used
    """

    pre: FloatArray
    post: FloatArray
    jump: FloatArray
    normalisation: Normalisation


@dataclass(frozen=True, slots=True, eq=False)
class Normalised:
    """A normalised spectrum or stack of spectra (axes ``[..., energy]``).

    Attributes
    ----------
    energy : float64 [E], eV
    mu : float64 [..., E], pre-edge subtracted and divided by the jump; the half height is read from this one
    flat : float64 [..., E], the same with the post-edge line levelled to 1 above e0, as for pictures
    jump : float64 [...], in the unit of the input
    jump_sigma : float64 [...], its standard deviation, NaN where no noise is known
    normalisation : windows and orders actually used
    """

    energy: FloatArray
    mu: FloatArray
    flat: FloatArray
    jump: FloatArray
    jump_sigma: FloatArray
    normalisation: Normalisation


def default_normalisation(energies: ArrayLike, e0: float) -> Normalisation:
    """Return usual windows for a spectrum with its edge near `e0`: below e0 - 20 eV, and from e0 + 30 eV on.

    The windows are cut to what `energies` (eV) cover, at most 150 eV below and 500 eV above.

    Raises
    ------
    ValueError
        When the energies do not reach 20 eV below or 30 eV above the edge.
    """
    energy = checked_energies(energies)
    if energy[0] > e0 - 20 or energy[-1] < e0 + 30:
        raise ValueError(
            f"energies {energy[0]:g}..{energy[-1]:g} eV do not reach {e0 - 20:g} and {e0 + 30:g} eV, "
            f"20 eV below and 30 eV above the edge at {e0:g} eV; give a Normalisation"
        )
    pre = (float(max(energy[0], e0 - 150)), e0 - 20)
    post = (e0 + 30, float(min(energy[-1], e0 + 500)))
    return Normalisation(pre=pre, post=post, e0=e0)


def line_operator(energies: ArrayLike, normalisation: Normalisation) -> LineOperator:
    """Return pre-edge line, post-edge line and jump as linear maps on the grid `energies` (eV, increasing).

    The post-edge line is fitted to the pre-edge-subtracted spectrum; the jump is its value at e0.
    """
    energy = checked_energies(energies)
    used = normalisation.effective(energy)
    pre_powers, pre = _line(energy, used.pre, used.pre_order, used.e0)
    post_powers, post = _line(energy, used.post, used.post_order, used.e0)
    post = post - (post @ pre_powers) @ pre  # of the spectrum less its pre-edge line
    return LineOperator(pre_powers @ pre, post_powers @ post, post[0], used)


def normalise(
    energy: ArrayLike, mu: ArrayLike, normalisation: Normalisation, *, sigma: ArrayLike | None = None
) -> Normalised:
    """Subtract the pre-edge line and divide by the edge jump.

    Parameters
    ----------
    energy : [E], eV, strictly increasing
    mu : [..., E]
    normalisation : windows and orders
    sigma : standard deviation of `mu`, broadcast to its shape; None takes the scatter about the pre-edge line

    Raises
    ------
    ValueError
        On mismatched shapes, an empty window, or a jump that is not positive.
    """
    energies = checked_energies(energy)
    values = real_array("mu", mu, np.float64)
    if values.ndim == 0 or values.shape[-1] != energies.size:
        raise ValueError(f"mu has shape {values.shape}; its last axis must hold the {energies.size} energies")
    given = None if sigma is None else sigma_array("sigma", sigma, values.shape)
    lines = line_operator(energies, normalisation)
    jump = values @ lines.jump
    if not (jump > 0).all():
        raise ValueError(f"edge jump {np.nanmin(jump):.3g} is not positive between the windows {normalisation}")
    noise = pre_edge_noise(energies, values, lines)[..., None] if given is None else given
    jump_sigma = np.sqrt(np.broadcast_to(noise, values.shape) ** 2 @ lines.jump**2)
    subtracted = (values - values @ lines.pre.T) / jump[..., None]
    level = np.where(energies >= lines.normalisation.e0, 1.0 - values @ lines.post.T / jump[..., None], 0.0)
    return Normalised(energies, subtracted, subtracted + level, jump, jump_sigma, lines.normalisation)


def pre_edge_noise(energy: FloatArray, mu: FloatArray, lines: LineOperator) -> FloatArray:
    """Return the scatter of `mu` [..., E] about its pre-edge line; NaN with fewer than 3 free points."""
    low, high = lines.normalisation.pre
    inside = (energy >= low) & (energy <= high)
    freedom = int(inside.sum()) - lines.normalisation.pre_order - 1
    if freedom < 3:
        return np.full(mu.shape[:-1], np.nan)
    residual = (mu - mu @ lines.pre.T)[..., inside]
    return np.asarray(np.sqrt((residual**2).sum(-1) / freedom))


def _line(energy: FloatArray, window: tuple[float, float], order: int, e0: float) -> tuple[FloatArray, FloatArray]:
    """Least-squares polynomial through a window: powers [E, k] at all energies, map to its coefficients [k, E].

    The first coefficient is the value at e0.
    """
    inside = (energy >= window[0]) & (energy <= window[1])
    scale = max(float(np.abs(energy - e0).max()), 1.0)
    powers = np.vander((energy - e0) / scale, order + 1, increasing=True)
    coefficients = np.zeros((order + 1, energy.size))
    coefficients[:, inside] = np.linalg.pinv(powers[inside])
    return powers, coefficients


def _order_carried(name: str, energy: FloatArray, window: tuple[float, float], order: int, e0: float) -> int:
    count = int(((energy >= window[0]) & (energy <= window[1])).sum())
    if count == 0:
        span = f"energies span {energy.min():g}..{energy.max():g} eV" if energy.size else "there are no energies"
        raise ValueError(f"no energy in the {name} window {window[0]:g}..{window[1]:g} eV; {span}")
    for carried in range(min(order, count - 1), 0, -1):
        gain = np.linalg.norm(_line(energy, window, carried, e0)[1][0])
        if gain <= MAX_NOISE_GAIN:
            return carried
    return 0
