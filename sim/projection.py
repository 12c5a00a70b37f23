"""Parallel projections of a particle about a vertical axis: line integrals per reference, remembered by angle."""

import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.special import ndtr

from sim.specimen import mixing_weights

Single = npt.NDArray[np.float32]


class Projector:
    """Projects the density of a particle, split by reference, at any angle.

    A voxel at (x, y) falls on u = x cos(angle) + y sin(angle); its mass is shared between the two nearest columns,
    which adds a blur of less than half a voxel. Volumes are kept (y x, reference z), so that one sparse product
    projects all rows and references at once.

    Parameters
    ----------
    density, valence : array, (z, y, x)
        Relative density, and valence of the metal (NaN outside), on cubic voxels.
    voxel : float
        um.
    references : sequence of float
        Valences of the references, increasing.
    remember : int
        Number of angles to keep.
    """

    def __init__(
        self, density: Single, valence: Single, voxel: float, references: tuple[float, ...], *, remember: int = 400
    ) -> None:
        weights = mixing_weights(valence, references) * density  # (k, z, y, x)
        self.count, self.voxel = len(references), voxel
        self.size = density.shape[0]
        inside = density.max(axis=0) > 0
        offset = (np.arange(self.size) - self.size // 2).astype(float)
        y, x = np.meshgrid(offset, offset, indexing="ij")
        self._x, self._y = x[inside], y[inside]
        self._mass = np.ascontiguousarray(np.moveaxis(weights[:, :, inside], 2, 0)).reshape(self._x.size, -1)
        self._known: OrderedDict[float, Single] = OrderedDict()
        self._remember, self._lock = remember, threading.Lock()

    def at(self, angle: float) -> Single:
        """Return the projected density times length, um, axes (reference, row, column) on the voxel grid.

        Parameters
        ----------
        angle : float
            deg; angles closer than 0.1 mdeg are one.
        """
        key = round(angle % 360.0, 4)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        projected = self._project(key)
        with self._lock:
            self._known[key] = projected
            while len(self._known) > self._remember:
                self._known.popitem(last=False)
        return projected

    def _project(self, angle: float) -> Single:
        u = self._x * np.cos(np.radians(angle)) + self._y * np.sin(np.radians(angle)) + self.size // 2
        left = np.floor(u).astype(np.int32)
        share = (u - left).astype(np.float32)
        columns = np.arange(u.size, dtype=np.int32)
        entries = np.concatenate([1 - share, share]) * np.float32(self.voxel)
        places = (np.concatenate([left, left + 1]).clip(0, self.size - 1), np.concatenate([columns, columns]))
        matrix = csr_matrix((entries, places), shape=(self.size, u.size))
        projected = (matrix @ self._mass).reshape(self.size, self.count, self.size)
        return np.ascontiguousarray(projected.transpose(1, 2, 0))


def imaging_matrix(pixels: int, pixel: float, samples: int, sample: float, shift: float, sigma: float) -> Single:
    """Return how much each sample of a line contributes to each pixel of a camera.

    Samples are boxes, blurred by a Gaussian and integrated over the pixels; all lengths at the object. Magnification,
    shift, blur and pixel size are thus one matrix, exactly.

    Parameters
    ----------
    pixels, samples : int
        Numbers; both grids are centred on 0 (sample ``samples // 2`` at `shift`).
    pixel, sample : float
        Their sizes, um.
    shift : float
        Of the object, um.
    sigma : float
        Blur, um, > 0.

    Returns
    -------
    array, (pixel, sample), float32
        Row sums are 1 where the samples cover the pixel.
    """
    pixel_edges = (np.arange(pixels + 1) - pixels / 2) * pixel
    sample_edges = (np.arange(samples + 1) - samples // 2 - 0.5) * sample + shift
    distance = (pixel_edges[:, None] - sample_edges[None, :]) / sigma
    integral = sigma * (distance * ndtr(distance) + np.exp(-0.5 * distance**2) / np.sqrt(2 * np.pi))
    return np.asarray(-np.diff(np.diff(integral, axis=0), axis=1) / pixel, np.float32)
