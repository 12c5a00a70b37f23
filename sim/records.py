"""Process variables of a simulated beamline, free of any network: physics posts values, clients put them.

A `Bank` is served over Channel Access by `sim.ioc`, or read in the same process through `sim.control_layer`.
All models of one bank run in one asyncio loop; nothing here is thread-safe.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class Kind(StrEnum):
    """What a record holds, as Channel Access sees it."""

    DOUBLE = "double"
    INT = "int"
    SHORT = "short"
    ENUM = "enum"
    STRING = "string"
    LONG_STRING = "long_string"
    ARRAY = "array"


class Severity(IntEnum):
    """EPICS alarm severity."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


class PutRefusedError(ValueError):
    """A client's put that the record refuses; the message says name, value and limit."""


class Handled:
    """What an ``on_put`` returns when it has posted the value itself."""


HANDLED = Handled()
Sink = Callable[["Record", bool], Awaitable[None]]
OnPut = Callable[["Record", Any], Awaitable[Any]]
STATE_ALARM = 7


@dataclass(eq=False, slots=True)
class Record:
    """One process variable: a value with its metadata, who listens, and what a put does.

    Parameters
    ----------
    name : str
        Full name of the process variable.
    value : object
        float, int, str, index of an enum, or a 1-d array, as `kind` says.
    kind : Kind
        What the record holds.
    enums : tuple of str
        The states of an enum.
    units, precision, limits
        Metadata; limits (0, 0) mean "not checked", as in EPICS.
    length, dtype
        Of an array (elements, numpy name) or a long string (bytes).
    on_put : coroutine function (record, value) -> value | None | HANDLED
        What a client's put does. The put completes, as EPICS put completion, when it returns. It may return
        another value to store, None to store the value as it came, or `HANDLED`.
    """

    name: str
    value: Any
    kind: Kind
    enums: tuple[str, ...] = ()
    units: str = ""
    precision: int = 4
    limits: tuple[float, float] = (0.0, 0.0)
    length: int = 1
    dtype: str = "float64"
    read_only: bool = False
    on_put: OnPut | None = None
    severity: Severity = Severity.NO_ALARM
    status: int = 0
    timestamp: float = field(default_factory=time.time)
    sinks: list[Sink] = field(default_factory=list)
    online: bool = True
    least_severity: Severity = Severity.NO_ALARM  # a fault that stays whatever the model posts

    async def post(self, value: Any, severity: Severity | None = None, timestamp: float | None = None) -> None:
        """Set the value from the simulation's side and tell everybody who listens."""
        self.value = value
        self.timestamp = time.time() if timestamp is None else timestamp
        if severity is not None:
            self.severity = max(severity, self.least_severity)
            self.status = STATE_ALARM if self.severity else 0
        for sink in tuple(self.sinks):
            await sink(self, False)

    async def set_metadata(self, *, limits: tuple[float, float] | None = None, units: str | None = None) -> None:
        """Change limits or units and tell everybody who listens."""
        if limits is not None:
            self.limits = limits
        if units is not None:
            self.units = units
        for sink in tuple(self.sinks):
            await sink(self, True)

    async def put(self, value: Any) -> None:
        """Take a client's value; returns when the action it started is over."""
        value = self.coerce(value)
        if self.on_put is not None:
            answer = await self.on_put(self, value)
            if isinstance(answer, Handled):
                return
            if answer is not None:
                value = answer
        await self.post(value)

    def coerce(self, value: Any) -> Any:
        """Return the value as this kind of record keeps it.

        Raises
        ------
        PutRefusedError
            When the value is no state of an enum or no number.
        """
        if self.kind is Kind.ARRAY:
            return value
        if self.kind in (Kind.STRING, Kind.LONG_STRING):
            return text_of(value)
        if not isinstance(value, str | bytes) and hasattr(value, "__len__"):
            value = value[0]
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if self.kind is Kind.ENUM:
            return self._state(value)
        try:
            return float(value) if self.kind is Kind.DOUBLE else int(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise PutRefusedError(f"{self.name}: {value!r} is not a number") from error

    def _state(self, value: Any) -> int:
        if isinstance(value, str) and value in self.enums:
            return self.enums.index(value)
        try:
            index = int(value)
        except (TypeError, ValueError) as error:
            raise PutRefusedError(f"{self.name}: {value!r} is none of {self.enums}") from error
        if not 0 <= index < len(self.enums):
            raise PutRefusedError(f"{self.name}: state {index} is outside 0..{len(self.enums) - 1}")
        return index


def text_of(value: Any) -> str:
    """Return the text in a str, bytes or sequence of character codes, up to the first zero byte.

    Examples
    --------
    >>> text_of([100, 97, 114, 107, 0, 7])
    'dark'
    """
    if isinstance(value, str):
        return value.split("\0")[0]
    if isinstance(value, list | tuple) and value and isinstance(value[0], str | bytes):
        return text_of(value[0])
    return bytes(value).split(b"\0")[0].decode("utf-8", errors="replace")


class Bank:
    """The records of a simulated beamline by name, and the tasks that run while it is served."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self.startups: list[Callable[[], Awaitable[None]]] = []
        self.closers: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, name: str, value: Any, kind: Kind | None = None, **metadata: Any) -> Record:
        """Add a record; the kind follows the value when not given (an int with `enums` is an enum)."""
        if name in self._records:
            raise ValueError(f"record {name} exists already")
        if kind is None:
            if "enums" in metadata:
                kind = Kind.ENUM
            elif isinstance(value, str):
                kind = Kind.STRING
            else:
                kind = Kind.DOUBLE if isinstance(value, float) else Kind.INT
        self._records[name] = record = Record(name, value, kind, **metadata)
        return record

    def alias(self, name: str, record: Record) -> None:
        """Serve a record under a second name, as ``motor`` for ``motor.VAL``."""
        if name in self._records:
            raise ValueError(f"record {name} exists already")
        self._records[name] = record

    def update(self, other: "Bank") -> None:
        """Take in the records and tasks of another bank, for several beamlines in one process."""
        for name, record in other.items():
            self.alias(name, record)
        self.startups += other.startups
        self.closers += other.closers

    def __getitem__(self, name: str) -> Record:
        return self._records[name]

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def get(self, name: str) -> Record | None:
        """Return the record or None."""
        return self._records.get(name)

    def items(self) -> Iterator[tuple[str, Record]]:
        """Iterate over (name, record); an alias comes with its own name."""
        return iter(self._records.items())

    async def start(self) -> None:
        """Start the tasks of the models in the running loop."""
        for startup in self.startups:
            task = asyncio.ensure_future(startup())
            self._tasks.add(task)  # type: ignore[arg-type]

    async def close(self) -> None:
        """End the tasks of the models and close what they hold open (files)."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for close in self.closers:
            await close()
