"""Serve a bank over Channel Access with caproto: every record of the bank becomes a channel.

Set the environment (`environment`) before caproto is first imported: it reads its settings once.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

import caproto
import caproto.asyncio.server as caproto_server
import numpy as np

from sim.records import Bank, Kind, Record, Sink

# Channel Access has no unsigned 16 bit integer: DBF_USHORT travels as a long.
ARRAY_CHANNELS = {
    "float64": caproto.ChannelDouble,
    "float32": caproto.ChannelFloat,
    "int32": caproto.ChannelInteger,
    "int16": caproto.ChannelShort,
    "uint16": caproto.ChannelInteger,
    "uint8": caproto.ChannelByte,
}
CHANNELS = {
    Kind.DOUBLE: caproto.ChannelDouble,
    Kind.INT: caproto.ChannelInteger,
    Kind.SHORT: caproto.ChannelShort,
    Kind.ENUM: caproto.ChannelEnum,
    Kind.STRING: caproto.ChannelString,
    Kind.LONG_STRING: caproto.ChannelChar,
}
READ = caproto.AccessRights.READ
READ_WRITE = caproto.AccessRights.READ | caproto.AccessRights.WRITE


def channel_of(record: Record) -> Any:
    """Return the caproto channel that shows a record and hands client puts to it."""
    base = ARRAY_CHANNELS[record.dtype] if record.kind is Kind.ARRAY else CHANNELS[record.kind]

    class Channel(base):  # type: ignore[misc, valid-type]
        """A channel of one record; an awaited put is EPICS put completion."""

        async def verify_value(self, value: Any) -> None:
            await record.put(value.tolist() if isinstance(value, np.ndarray) and value.size == 1 else value)
            raise caproto.SkipWrite

        def check_access(self, *_: str) -> caproto.AccessRights:
            return READ if record.read_only else READ_WRITE

    channel = Channel(**_settings(record))

    async def show(record: Record, metadata: bool) -> None:
        if metadata:
            await channel.write_metadata(**_metadata(record))
            return
        alarm: dict[str, Any] = {}
        if int(record.severity) != int(channel.alarm.severity):
            severity = caproto.AlarmSeverity(int(record.severity))
            alarm = {"severity": severity, "status": caproto.AlarmStatus(record.status)}
        await channel.write(record.value, verify_value=False, timestamp=record.timestamp, **alarm)

    record.sinks.append(show)
    return channel


def _metadata(record: Record) -> dict[str, Any]:
    low, high = record.limits
    limits = {
        "lower_ctrl_limit": low,
        "upper_ctrl_limit": high,
        "lower_disp_limit": low,
        "upper_disp_limit": high,
    }
    if record.kind is not Kind.DOUBLE:
        limits = {name: int(value) for name, value in limits.items()}
        return {"units": record.units, **limits}
    return {"units": record.units, "precision": record.precision, **limits}


def _settings(record: Record) -> dict[str, Any]:
    settings: dict[str, Any] = {"value": record.value, "reported_record_type": "sim"}
    if record.kind is Kind.ENUM:
        return settings | {"enum_strings": record.enums}
    if record.kind is Kind.LONG_STRING:
        return settings | {"max_length": record.length, "report_as_string": False, "string_encoding": "utf-8"}
    if record.kind is Kind.ARRAY:
        return settings | {"max_length": record.length}
    if record.kind is Kind.STRING:
        return settings | {"string_encoding": "utf-8"}
    return settings | _metadata(record)


class Server(caproto_server.Context):  # type: ignore[misc]
    """A caproto server whose channels can go offline one by one, as if their record had been on an IOC that died."""

    def __init__(self, bank: Bank, interfaces: list[str]) -> None:
        super().__init__({name: channel_of(record) for name, record in bank.items()}, interfaces)
        self._offline: set[str] = set()
        for name, record in bank.items():
            record.sinks.append(self._follower(name))

    def _follower(self, name: str) -> Sink:
        async def follow(record: Record, _: bool) -> None:
            if record.online:
                self._offline.discard(name)
            elif name not in self._offline:
                self._offline.add(name)
                for circuit in tuple(self.circuits):
                    await _drop(circuit, name)

        return follow

    def __getitem__(self, name: str) -> Any:
        if name in self._offline:
            raise caproto.CaprotoKeyError(f"{name} is offline")
        return super().__getitem__(name)


async def _drop(circuit: Any, name: str) -> None:
    """Tell a client that one channel is gone, and send it no more events."""
    for channel in [c for c in circuit.circuit.channels.values() if c.name == name]:
        await circuit._cull_subscriptions(None, lambda sub, channel=channel: sub.channel is channel)
        await circuit.send(caproto.ServerDisconnResponse(cid=channel.cid))


async def _bound_without_delay(address: str, port: int) -> socket.socket:
    bound: socket.socket = await _create_bound_tcp_socket(address, port)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by accept() on Linux
    return bound


_create_bound_tcp_socket = caproto_server._create_bound_tcp_socket


async def serve(
    bank: Bank, *, interfaces: Sequence[str] = ("127.0.0.1",), ready: Callable[[int], None] | None = None
) -> None:
    """Serve a bank until the task is cancelled, then close what its models hold open.

    Parameters
    ----------
    bank : Bank
        The records.
    interfaces : sequence of str
        Addresses to listen on.
    ready : callable (port) -> None
        Called once clients can connect.

    Notes
    -----
    caproto 1.3 never sets TCP_NODELAY, which costs 44 ms per exchange; its listening socket is replaced here.
    """
    caproto_server._create_bound_tcp_socket = _bound_without_delay
    context = Server(bank, list(interfaces))

    async def startup(_: Any) -> None:
        await bank.start()
        if ready is not None:
            ready(context.port)
        await asyncio.Event().wait()

    try:
        await context.run(startup_hook=startup)
    finally:
        await bank.close()
