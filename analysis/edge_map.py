"""Results of reading edges: maps of voxels and the edge of a single spectrum, with the reasons where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from analysis import crossing
from analysis.lowrank import Basis
from analysis.spectra import FloatArray, Normalisation

Float32Array = NDArray[np.float32]


class Code(IntEnum):
    """Why an edge is, or is not, reported.

    NO_JUMP: the jump is not positive, or below `least_jump` of its sigma. NO_CROSSING: the spectrum does not rise
    through half its jump in the search range. OUT_OF_RANGE: it is above half already where the range begins.
    TOO_NOISY: sigma is above `largest_sigma`, by photon noise or because the edge lies in a gap between energies (a
    step of 50 eV leaves it unknown by 5 eV). NOT_MEASURED: a value or a sigma is missing, or the voxel is not in the
    mask.
    """

    OK = crossing.OK
    NO_JUMP = crossing.NO_JUMP
    NO_CROSSING = crossing.NO_CROSSING
    OUT_OF_RANGE = crossing.OUT_OF_RANGE
    TOO_NOISY = crossing.TOO_NOISY
    NOT_MEASURED = crossing.NOT_MEASURED


@dataclass(frozen=True, slots=True, eq=False)
class EdgeMap:
    """Edges of N voxels. Where `code` is not OK the edge and the white line are NaN.

    Attributes
    ----------
    energy, sigma : float32 [N], eV, half height and its standard deviation
    jump, jump_sigma : float32 [N], edge jump in the unit of the spectra (NaN only where not measured)
    white_line, white_line_sigma : float32 [N], eV, maximum above the edge; NaN where there is none
    white_line_height : float32 [N], normalised
    code : uint8 [N], of `Code`
    rank : number of basis spectra used
    normalisation : windows and orders as used; None if the spectra were normalised already
    eigenvalues : float64, of the whitened spectra, largest first, noise = 1; empty without a basis
    noise_scale : measured noise over given noise, applied to every sigma
    basis : the basis, to be used again
    """

    energy: Float32Array
    sigma: Float32Array
    jump: Float32Array
    jump_sigma: Float32Array
    white_line: Float32Array
    white_line_sigma: Float32Array
    white_line_height: Float32Array
    code: NDArray[np.uint8]
    rank: int
    normalisation: Normalisation | None
    eigenvalues: FloatArray
    noise_scale: float
    basis: Basis


@dataclass(frozen=True, slots=True)
class Edge:
    """The edge of one spectrum; NaN where `code` is not OK, sigmas NaN where the noise is not known.

    Attributes
    ----------
    energy, sigma : eV, half height
    jump, jump_sigma : in the unit of the spectrum
    white_line, white_line_sigma : eV
    white_line_height : normalised
    code : reason
    normalisation : as used; None if the spectrum was normalised already
    """

    energy: float
    sigma: float
    jump: float
    jump_sigma: float
    white_line: float
    white_line_sigma: float
    white_line_height: float
    code: Code
    normalisation: Normalisation | None
