"""An ophyd control layer that answers from a bank in this process: real device classes, no Channel Access.

It replaces ``ophyd.cl``, an internal seam of ophyd, so ophyd is pinned and a test stands on it.
"""

import asyncio
import logging
import threading
import types
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import numpy as np
import ophyd
from ophyd._dispatch import EventDispatcher, _CallbackThread, wrap_callback

from sim.records import Bank, Kind, Record

logger = logging.getLogger(__name__)


class LocalPV:
    """What ophyd's ``EpicsSignal`` needs of a process variable, backed by one record."""

    def __init__(
        self,
        layer: "InProcess",
        pvname: str,
        *,
        auto_monitor: bool | None = None,
        connection_callback: Callable[..., Any] | None = None,
        access_callback: Callable[..., Any] | None = None,
    ) -> None:
        self.pvname, self.auto_monitor, self.connected = pvname, auto_monitor, False
        self.callbacks: dict[int, Callable[..., Any]] = {}
        self._reference_count = 0
        self._layer, self._online, self._next = layer, threading.Event(), 0
        self._on_connection = wrap_callback(layer.dispatcher, "metadata", connection_callback)
        self._on_access = wrap_callback(layer.dispatcher, "metadata", access_callback)
        record = layer.bank.get(pvname)
        if record is not None:
            self.record = record
            record.sinks.append(self._sink)
            self._set_connected(record.online)

    def _set_connected(self, online: bool) -> None:
        self.connected = online
        if online:
            self._online.set()
            if self._on_access:
                self._on_access(True, not self.record.read_only, pv=self)
        else:
            self._online.clear()
        if self._on_connection:
            self._on_connection(pvname=self.pvname, conn=online, pv=self)

    @property
    def nelm(self) -> int:
        """Largest number of elements."""
        return self.record.length

    def wait_for_connection(self, timeout: float | None = None) -> bool:
        """Return whether the record exists and is online within `timeout` s."""
        return self._online.wait(timeout)

    def _value(self, as_string: bool = False) -> Any:
        record = self.record
        if as_string:
            return record.enums[record.value] if record.kind is Kind.ENUM else str(record.value)
        if record.kind is Kind.LONG_STRING:
            return np.frombuffer(str(record.value).encode() + b"\0", np.uint8)
        return record.value

    def _metadata(self) -> dict[str, Any]:
        record = self.record
        low, high = record.limits
        return {
            "status": record.status,
            "severity": int(record.severity),
            "timestamp": record.timestamp,
            "precision": record.precision if record.kind is Kind.DOUBLE else None,
            "units": record.units,
            "lower_ctrl_limit": low,
            "upper_ctrl_limit": high,
            "enum_strs": record.enums or None,
        }

    def get_all_metadata_blocking(self, timeout: float) -> dict[str, Any]:  # noqa: ARG002 (ophyd's call)
        """Return the metadata."""
        return self._metadata()

    def get_all_metadata_callback(self, callback: Callable[..., Any], **_: Any) -> None:
        """Hand the metadata to `callback` from the utility thread."""
        self._layer.dispatcher.schedule_utility_task(lambda: callback(self.pvname, self._metadata()))

    def get_ctrlvars(self, **_: Any) -> dict[str, Any]:
        """Return the metadata."""
        return self._metadata()

    get_timevars = get_ctrlvars

    def get_with_metadata(self, as_string: bool = False, count: int | None = None, **_: Any) -> dict[str, Any] | None:
        """Return value and metadata, or None while disconnected (ophyd then times out)."""
        if not self.connected:
            return None
        value = self._value(as_string)
        return self._metadata() | {"value": value[:count] if count is not None and np.ndim(value) else value}

    def get(self, **options: Any) -> Any:
        """Return the value."""
        answer = self.get_with_metadata(**options)
        return None if answer is None else answer["value"]

    def _event(self) -> dict[str, Any]:
        values = {"value": self._value(), "char_value": self._value(True)}
        return self._metadata() | values | {"pvname": self.pvname, "cb_info": (0, self)}

    async def _sink(self, record: Record, metadata: bool) -> None:
        if record.online is not self.connected:
            self._set_connected(record.online)
        if self.connected and not metadata:
            event = self._event()
            for callback in tuple(self.callbacks.values()):
                callback(**event)

    def add_callback(self, callback: Callable[..., Any] | None = None, **_: Any) -> int:
        """Monitor the value; as over Channel Access, a monitor starts with the present value."""
        self._next += 1
        wrapped = wrap_callback(self._layer.dispatcher, "monitor", callback)
        self.callbacks[self._next] = wrapped
        if self.connected:
            wrapped(**self._event())
        return self._next

    def clear_callbacks(self) -> None:
        """End all monitors."""
        self.callbacks.clear()

    def put(
        self,
        value: Any,
        wait: bool = False,
        timeout: float | None = None,
        callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> None:
        """Put a value; `callback` runs when the action it started is over."""
        if not self.connected:
            return
        future = self._layer.submit(self.record.put(value))
        done = wrap_callback(self._layer.dispatcher, "get_put", callback)

        def finished(future: Future[None]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                logger.error("put to %s failed: %s", self.pvname, error)
            if done:
                done(pvname=self.pvname)

        future.add_done_callback(finished)
        if wait:
            future.result(timeout)

    def release(self) -> None:
        """Let go of the record when the last user has."""
        self._reference_count -= 1
        if self._reference_count <= 0 and self._online.is_set():
            self.clear_callbacks()
            if self._sink in self.record.sinks:
                self.record.sinks.remove(self._sink)


class InProcess:
    """A bank whose models run in a thread of this process, and the control layer that reads it.

    Use `install`; `close` ends the thread and gives ophyd its former control layer back.
    """

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.loop = asyncio.new_event_loop()
        self.dispatcher = EventDispatcher(thread_class=_CallbackThread, context=None, logger=logger)
        self._thread = threading.Thread(target=self._run, daemon=True, name="simulated beamline")
        self._thread.start()
        self.submit(bank.start()).result(10)
        self._former = ophyd.cl

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run a coroutine in the models' loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def put(self, name: str, value: Any, timeout: float = 30.0) -> None:
        """Put a value as a client would and wait for its completion."""
        self.submit(self.bank[name].put(value)).result(timeout)

    def get(self, name: str) -> Any:
        """Return the present value of a record."""
        return self.bank[name].value

    def control_layer(self) -> types.SimpleNamespace:
        """Return the object that stands in for ``ophyd.cl``."""
        return types.SimpleNamespace(
            name="in process",
            setup=lambda _: None,
            thread_class=threading.Thread,
            get_dispatcher=lambda: self.dispatcher,
            get_pv=lambda pvname, **options: LocalPV(self, pvname, **_known(options)),
            release_pvs=lambda *pvs: [pv.release() for pv in pvs],
            caget=lambda name, **_: self.get(name),
            caput=lambda name, value, **_: self.put(name, value),
        )

    def restore(self) -> None:
        """Give ophyd its former control layer back; devices built so far keep talking to the bank."""
        ophyd.cl = self._former

    def close(self) -> None:
        """End the models and give ophyd its former control layer back."""
        self.restore()
        self.submit(self.bank.close()).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.dispatcher.stop_event.set()  # its threads end by themselves; joining them takes a second


def _known(options: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k in ("auto_monitor", "connection_callback", "access_callback")}


def install(bank: Bank) -> InProcess:
    """Let every ophyd device built from now on talk to `bank` instead of Channel Access.

    Parameters
    ----------
    bank : Bank
        The records, e.g. ``sim.beamline.build(Simulation()).bank``.

    Returns
    -------
    InProcess
        Handle with ``put(name, value)``, ``get(name)`` and ``close()``.
    """
    layer = InProcess(bank)
    ophyd.cl = layer.control_layer()
    return layer
