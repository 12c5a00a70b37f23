"""The camera of an areaDetector: exposes on schedule, hands frames to the file plugin, counts them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sim.area_detector_records import CAMERA, IMAGE, add_group
from sim.clock import Clock
from sim.hdf5_plugin import FilePlugin, Frame
from sim.records import HANDLED, Bank, Handled, Kind, Record, Severity

SINGLE, MULTIPLE, CONTINUOUS = range(3)
IDLE, ACQUIRE, ERROR = 0, 1, 6
INTERNAL, EXTERNAL = range(2)
MOST_GAIN = 1000.0
IMAGE_PERIOD = 0.2  # s: images travel over Channel Access for eyes only
FAULTS = ("hang", "error", "drop", "bad_file", "disk_full", "lose")


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the camera asks of the beamline for one frame.

    Attributes
    ----------
    begin, duration : float
        Beamline time at which the exposure begins, and its length, s.
    binning : (rows, columns)
        Pixels summed into one.
    gain : float
        Counts are multiplied by it.
    """

    begin: float
    duration: float
    binning: tuple[int, int] = (1, 1)
    gain: float = 1.0


Image = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Latent:
    """A frame that was exposed and waits to be developed, in another thread, and written."""

    unique_id: int
    timestamp: float
    attributes: dict[str, float]
    develop: Callable[[], Image]


Film = asyncio.Queue[Latent | None]  # None: the acquisition is over


class Scene(Protocol):
    """What stands before the camera."""

    shape: tuple[int, int]
    attributes: tuple[str, ...]

    def snapshot(self, exposure: Exposure) -> tuple[dict[str, float], Callable[[], Image]]:
        """Return the attributes of an exposure that has just ended, and a function that makes its image.

        The function runs in another thread and must not look at records.
        """


class Camera:
    """An areaDetector: records ``cam1:``, ``HDF1:`` and ``image1:`` under one prefix.

    Parameters
    ----------
    bank : Bank
        Where the records go.
    prefix : str
        For example ``SIM:cam:``.
    clock : Clock
        Beamline time.
    scene : Scene
        Makes the images.
    readout : float
        Dead time between two exposures, s.
    """

    def __init__(self, bank: Bank, prefix: str, clock: Clock, scene: Scene, *, readout: float = 0.0) -> None:
        self._bank, self._prefix, self._clock, self._scene = bank, prefix + "cam1:", clock, scene
        self._readout = readout
        self._fault: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._image_prefix, self._image_time = prefix + "image1:", 0.0
        self._triggers: asyncio.Queue[float] = asyncio.Queue()
        self._busy_until = 0.0
        add_group(bank, self._prefix, CAMERA)
        bank.add(self._prefix + "DataType_RBV.DISA", 0)
        add_group(bank, self._image_prefix, IMAGE)
        self.file = FilePlugin(bank, prefix + "HDF1:", scene.shape, attributes=scene.attributes)
        self._set_constants()
        for name in ("BinX", "BinY"):
            self[name].on_put = self._put_binning
        self["Gain"].on_put = self._put_gain
        self.changed: list[Callable[[], Awaitable[None]]] = []
        for name in ("AcquireTime", "AcquirePeriod"):
            self[name].on_put = self._put_time
        self["Acquire"].on_put = self._put_acquire

    def _set_constants(self) -> None:
        rows, columns = self._scene.shape
        sizes: dict[str, Any] = {"SizeX": columns, "SizeX_RBV": columns, "SizeY": rows, "SizeY_RBV": rows}
        sizes |= {"MaxSizeX_RBV": columns, "MaxSizeY_RBV": rows}
        sizes |= {"ArraySizeX_RBV": columns, "ArraySizeY_RBV": rows, "ArraySize_RBV": 2 * rows * columns}
        texts: dict[str, Any] = {
            "PortName_RBV": "CAM",
            "Manufacturer_RBV": "Edgewise",
            "Model_RBV": "simulated TXM camera",
        }
        for name, value in (sizes | texts).items():
            self[name].value = value
        image: dict[str, Any] = {
            "ArraySize0_RBV": columns,
            "ArraySize1_RBV": rows,
            "NDArrayPort": "CAM",
            "NDArrayPort_RBV": "CAM",
        }
        image |= {"PortName_RBV": "Image1", "PluginType_RBV": "NDPluginStdArrays"}
        for name, value in image.items():
            self._bank[self._image_prefix + name].value = value
        pixels = np.zeros(rows * columns, np.uint16)
        self._array = self._bank.add(
            self._image_prefix + "ArrayData",
            pixels,
            Kind.ARRAY,
            length=pixels.size,
            dtype="uint16",
            read_only=True,
        )

    def __getitem__(self, name: str) -> Record:
        return self._bank[self._prefix + name]

    @property
    def fault(self) -> str | None:
        """The fault in force, one of `FAULTS`, or None."""
        return self._fault

    @fault.setter
    def fault(self, value: str | None) -> None:
        self._fault = self.file.fault = value

    @property
    def binning(self) -> tuple[int, int]:
        """Binning (rows, columns)."""
        return self["BinY"].value, self["BinX"].value

    @property
    def gain(self) -> float:
        """Counts are multiplied by it."""
        return float(self["Gain"].value)

    async def _pair(self, name: str, value: Any) -> None:
        await self[name].post(value)
        await self[name + "_RBV"].post(value)

    async def _put_time(self, record: Record, value: float) -> float:
        accepted = value if 0 <= value < 1e6 else record.value
        await self._bank[record.name + "_RBV"].post(accepted)
        return float(accepted)

    async def _put_gain(self, record: Record, value: float) -> Handled:
        await self._pair("Gain", value if 0 < value <= MOST_GAIN else record.value)
        await self._show_changes()
        return HANDLED

    async def _show_changes(self) -> None:
        for show in self.changed:
            await show()

    async def _put_binning(self, record: Record, value: int) -> Handled:
        size = self._scene.shape[0 if record.name.endswith("BinY") else 1]
        accepted = value if value >= 1 and size % value == 0 else record.value
        await record.post(accepted)
        await self._bank[record.name + "_RBV"].post(accepted)
        rows, columns = (n // b for n, b in zip(self._scene.shape, self.binning, strict=True))
        self.file.frame_shape = (rows, columns)
        await self["ArraySizeX_RBV"].post(columns)
        await self["ArraySizeY_RBV"].post(rows)
        await self["ArraySize_RBV"].post(2 * rows * columns)
        await self._show_changes()
        return HANDLED

    async def _put_acquire(self, _record: Record, value: int) -> Handled:
        if value and (self._task is None or self._task.done()):
            await self["AcquireBusy"].post(1)
            await self._pair("Acquire", 1)
            self._task = asyncio.ensure_future(self._acquire())
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (error := self._task.exception()) is not None:
                await self["StatusMessage_RBV"].post(str(error)[:250])
                await self["DetectorState_RBV"].post(ERROR, Severity.MAJOR)
                raise error
        elif not value:
            await self.stop()
        return HANDLED

    async def stop(self) -> None:
        """End the acquisition; frames already exposed are still written."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        else:
            await self._pair("Acquire", 0)

    async def _acquire(self) -> None:
        await self["DetectorState_RBV"].post(ACQUIRE, Severity.NO_ALARM)
        await self["StatusMessage_RBV"].post("Acquiring")
        await self["NumImagesCounter_RBV"].post(0)
        frames: Film = asyncio.Queue(100)
        writer = asyncio.ensure_future(self._deliver(frames))
        exposer = asyncio.ensure_future(self._expose(frames))
        try:
            await asyncio.wait([exposer, writer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            exposer.cancel()
            await self._finish(frames, writer)
        if not exposer.cancelled():
            exposer.result()

    async def _finish(self, frames: Film, writer: "asyncio.Task[None]") -> None:
        """Wait until what was exposed is written, whatever ended the exposures; then the camera is idle."""
        try:
            if not writer.done():
                await frames.put(None)
            await writer
        finally:
            await self._idle()

    async def _idle(self) -> None:
        failed = self.fault == "error"
        severity = Severity.MAJOR if failed else Severity.NO_ALARM
        await self["StatusMessage_RBV"].post("Camera error" if failed else "Waiting for acquire command")
        await self["DetectorState_RBV"].post(ERROR if failed else IDLE, severity)
        await self["AcquireBusy"].post(0)
        await self._pair("Acquire", 0)

    def _wanted(self) -> float:
        mode = self["ImageMode"].value
        return float({SINGLE: 1, MULTIPLE: self["NumImages"].value, CONTINUOUS: "inf"}[mode])

    async def _expose(self, frames: Film) -> None:
        begin, taken = self._clock.now(), 0
        self._triggers, self._busy_until = asyncio.Queue(), begin
        while taken < self._wanted():
            if self["TriggerMode"].value == EXTERNAL:
                begin = await self._triggers.get()
            if self.fault == "hang":
                await asyncio.Event().wait()
            duration = self["AcquireTime"].value
            exposure = Exposure(begin, duration, self.binning, self.gain)
            await self._clock.sleep_until(begin + duration)
            attributes, develop = self._scene.snapshot(exposure)
            await self._clock.sleep_until(begin + duration + self._readout)
            taken += 1
            middle = self._clock.timestamp(begin + duration / 2)
            unique_id = self["ArrayCounter"].value + 1
            await self._pair("ArrayCounter", unique_id)
            await frames.put(Latent(unique_id, middle, attributes, develop))
            begin += max(duration + self._readout, self["AcquirePeriod"].value)

    def trigger(self, moment: float) -> bool:
        """Start an exposure at a beamline time when waiting for hardware triggers; False when it is missed."""
        waiting = self["TriggerMode"].value == EXTERNAL and self["Acquire"].value
        if not waiting or moment < self._busy_until - 1e-9:
            return False
        self._busy_until = moment + self["AcquireTime"].value + self._readout
        self._triggers.put_nowait(moment)
        return True

    async def _deliver(self, frames: Film) -> None:
        """Develop and write frames in order; counters follow once a frame is in the file."""
        loop = asyncio.get_running_loop()
        count = 0
        while (latent := await frames.get()) is not None:
            image = await loop.run_in_executor(None, latent.develop)
            frame = Frame(image, latent.unique_id, latent.timestamp, latent.attributes)
            if self.fault == "lose" and frame.unique_id % 3 == 0:
                continue
            if self["ArrayCallbacks"].value:
                await self.file.write(frame)
                await self._show(frame)
            count += 1
            await self["NumImagesCounter_RBV"].post(count)

    async def _show(self, frame: Frame) -> None:
        """Post the image for display, at most five times a second."""
        now = time.monotonic()
        if now - self._image_time >= IMAGE_PERIOD and self._bank[self._image_prefix + "EnableCallbacks"].value:
            self._image_time = now
            await self._array.post(frame.image.ravel())
            await self._bank[self._image_prefix + "UniqueId_RBV"].post(frame.unique_id)
