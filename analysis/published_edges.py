"""Half heights of oxides on the scale of `FOIL_SCALES`, with their uncertainties and sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["EDGE_TABLE", "PublishedEdge"]


@dataclass(frozen=True, slots=True)
class PublishedEdge:
    """Half height of a compound (eV, scale of ``FOIL_SCALES``), its uncertainty (eV), valence and source."""

    compound: str
    valence: float
    energy: float
    sigma: float
    source: str


_LIBRARY = "XASDataLibrary (SSRL 4-1 and 4-3), shifted to the foil scale"
_VANADIUM = "XASDataLibrary (APS 13-BM), by the foil measured in the same days"
_CHROMIUM = "XASDataLibrary (SSRL 4-1), each by the foil behind it"
_IRON = "XASDataLibrary (APS 20-BM), by the metal measured there"
# The uncertainties include what the choice of windows alone moves the half height by (0.1 to 0.5 eV).
EDGE_TABLE: Mapping[str, tuple[PublishedEdge, ...]] = MappingProxyType(
    {
        "Mn": (
            PublishedEdge("MnO", 2.0, 6545.1, 0.3, _LIBRARY),
            PublishedEdge("Mn2O3", 3.0, 6550.1, 0.5, _LIBRARY),
            PublishedEdge("MnO2", 4.0, 6552.2, 0.3, _LIBRARY),
            PublishedEdge("Li2MnO3", 4.0, 6553.8, 0.3, "compiled from published spectra"),
        ),
        "V": (
            PublishedEdge("VO", 2.0, 5474.1, 0.4, _VANADIUM),
            PublishedEdge("V2O3", 3.0, 5477.1, 0.3, _VANADIUM),
            PublishedEdge("VO2", 4.0, 5480.1, 0.3, _VANADIUM),
            PublishedEdge("V2O5", 5.0, 5480.8, 0.3, _VANADIUM),
        ),
        "Cr": (
            PublishedEdge("Cr2O3", 3.0, 6000.2, 0.3, _CHROMIUM),
            PublishedEdge("CrO2", 4.0, 6001.5, 0.3, _CHROMIUM),
            PublishedEdge("K2CrO4", 6.0, 6006.8, 0.3, _CHROMIUM),
            PublishedEdge("K2Cr2O7", 6.0, 6006.3, 0.3, _CHROMIUM),
            PublishedEdge("Na2CrO4", 6.0, 6004.4, 0.4, _CHROMIUM),
        ),
        "Fe": (
            PublishedEdge("FeO", 2.0, 7119.8, 0.3, _IRON),
            PublishedEdge("Fe3O4", 8 / 3, 7122.7, 0.3, "XASDataLibrary (APS 13-BM), by the metal measured there"),
            PublishedEdge("Fe2O3", 3.0, 7123.6, 0.3, _IRON),
        ),
        "Co": (
            PublishedEdge("CoO", 2.0, 7717.9, 0.4, "MAX IV Balder, foil in the same file"),
            PublishedEdge("LiCoO2", 3.0, 7720.5, 1.0, "estimate; no measured spectrum was at hand"),
        ),
        "Ni": (
            PublishedEdge("NiO", 2.0, 8342.1, 0.3, "compiled from published spectra"),
            PublishedEdge("Ni(OH)2", 2.0, 8342.3, 0.3, _LIBRARY),
            PublishedEdge("LiNiO2", 3.0, 8344.8, 0.3, "SOLEIL ROCK, operando LiNiO2, pristine"),
        ),
    }
)
