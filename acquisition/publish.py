"""Send maps to Tiled, linked to the runs they come from; Tiled being away costs nothing but the copy there."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np

from acquisition.tiled_server import RESULTS, connect
from analysis.export import FIXED, VOLUMES, parameters
from analysis.live.mapping import ValenceMap

__all__ = ["Publisher"]

log = logging.getLogger("edgewise.publish")


class Publisher:
    """Keeps the newest map of each series in Tiled, below ``processed/<series uid>``.

    Parameters
    ----------
    uri, api_key
        The Tiled server.
    pause : float
        Seconds to leave a server alone that did not answer.
    """

    def __init__(self, uri: str, api_key: str, *, pause: float = 2.0) -> None:
        self._uri, self._key, self._pause = uri, api_key, pause
        self._client: Any = None
        self._waiting: dict[str, tuple[ValenceMap, Mapping[str, Any]]] = {}
        self._not_before = 0.0
        self._begun: set[str] = set()

    def publish(self, series: str, result: ValenceMap, origin: Mapping[str, Any]) -> None:
        """Send a map now, or as soon as the server answers; an older one that still waits is dropped."""
        self._waiting[series] = (result, origin)
        self.retry()

    def retry(self) -> None:
        """Send what waits, unless the server has just failed to answer."""
        if not self._waiting or time.monotonic() < self._not_before:
            return
        try:
            if self._client is None:
                self._client = connect(self._uri, self._key)
            for series in list(self._waiting):
                self._send(series, *self._waiting[series])
                del self._waiting[series]
        except (httpx.HTTPError, ConnectionError) as reason:
            log.info("Tiled has not taken the map yet (%s)", type(reason).__name__)
            self._client = None
            self._not_before = time.monotonic() + self._pause

    def _send(self, series: str, result: ValenceMap, origin: Mapping[str, Any]) -> None:
        metadata = {**origin, "parameters": parameters(result), "shells": _shells(result)}
        results = self._client[RESULTS]
        if series not in results:
            node = results.create_container(series, metadata=metadata)
        else:
            node = results[series]
            node.update_metadata(metadata, drop_revision=True)
        for name, (unit, meaning) in VOLUMES.items():
            if series in self._begun and name in FIXED:
                continue
            values = np.ascontiguousarray(getattr(result, name))
            if name in node:
                node[name].write(values)
            else:
                node.write_array(values, key=name, dims=["z", "y", "x"], metadata={"units": unit, "meaning": meaning})
        self._begun.add(series)


def _shells(result: ValenceMap) -> dict[str, list[float | None]]:
    shells = result.shells
    names = ("depth", "valence", "valence_sigma", "edge", "edge_sigma")
    return {name: [_number(value) for value in np.asarray(getattr(shells, name))] for name in names}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
