"""The HDF5 file plugin of an areaDetector: what it writes, and the records through which it is driven."""

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from sim.area_detector_records import HDF5, add_group
from sim.records import HANDLED, Bank, Handled, Record, Severity

DATASET = "entry/data/data"
ATTRIBUTES = "entry/instrument/NDAttributes"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it leaves the camera.

    Attributes
    ----------
    image : array, (row, column), uint16
        Counts.
    unique_id : int
        Counted by the driver, from 1.
    timestamp : float
        POSIX s of the middle of the exposure.
    attributes : mapping of str to float
        What the control system read at that moment, by NDAttribute name.
    """

    image: npt.NDArray[np.uint16]
    unique_id: int
    timestamp: float
    attributes: Mapping[str, float] = field(default_factory=dict)


class FrameFile:
    """One HDF5 file that grows frame by frame and can be read while it does (SWMR).

    Frames are at ``/entry/data/data`` (frame, row, column), one chunk each; their attributes at
    ``/entry/instrument/NDAttributes``, one value per frame.
    """

    def __init__(self, path: str, shape: tuple[int, int], attributes: tuple[str, ...], *, swmr: bool = True) -> None:
        self.path, self.shape = path, shape
        self._file = h5py.File(path, "w", libver="latest")
        for group, kind in (
            ("entry", "NXentry"),
            ("entry/data", "NXdata"),
            ("entry/instrument", "NXinstrument"),
        ):
            self._file.require_group(group).attrs["NX_class"] = kind
        self._file["entry/data"].attrs["signal"] = "data"
        grows = {"shape": (0, *shape), "maxshape": (None, *shape), "chunks": (1, *shape)}
        self._data = self._file.create_dataset(DATASET, dtype="uint16", **grows)
        names = ("NDArrayUniqueId", "NDArrayTimeStamp", *attributes)
        self._attributes = {name: self._column(name) for name in names}
        if swmr:
            self._file.swmr_mode = True

    def _column(self, name: str) -> Any:
        dtype = "int32" if name == "NDArrayUniqueId" else "float64"
        return self._file.create_dataset(
            f"{ATTRIBUTES}/{name}", shape=(0,), maxshape=(None,), chunks=(256,), dtype=dtype
        )

    def append(self, frame: Frame) -> int:
        """Write attributes, then the frame, flushed: a frame in the file always has its attributes.

        Returns the number of frames in the file.
        """
        if frame.image.shape != self.shape:
            raise ValueError(f"frame {frame.image.shape} does not fit into {self.path} of {self.shape}")
        index = int(self._data.shape[0])
        values = {"NDArrayUniqueId": frame.unique_id, "NDArrayTimeStamp": frame.timestamp, **frame.attributes}
        for name, column in self._attributes.items():
            column.resize(index + 1, axis=0)
            column[index] = values.get(name, np.nan)
            column.flush()
        self._data.resize(index + 1, axis=0)
        self._data.id.write_direct_chunk((index, 0, 0), np.ascontiguousarray(frame.image, "<u2").tobytes())
        self._data.flush()
        return index + 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FilePlugin:
    """The records ``HDF1:`` and the file behind them; all HDF5 calls run in one thread of its own.

    Parameters
    ----------
    bank : Bank
        Where the records go.
    prefix : str
        For example ``SIM:cam:HDF1:``.
    shape : (rows, columns)
        Of the largest frame.
    attributes : tuple of str
        NDAttributes every frame carries.
    """

    def __init__(self, bank: Bank, prefix: str, shape: tuple[int, int], *, attributes: tuple[str, ...] = ()) -> None:
        self.fault: str | None = None
        self._bank, self._prefix, self._attributes = bank, prefix, attributes
        self._file: FrameFile | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hdf5")
        self.frame_shape = shape
        add_group(bank, prefix, HDF5)
        for name, value in (
            ("PortName_RBV", "FileHDF1"),
            ("PluginType_RBV", "NDFileHDF5"),
            ("NDArrayPort", "CAM"),
            ("NDArrayPort_RBV", "CAM"),
            ("ArraySize0_RBV", shape[1]),
            ("ArraySize1_RBV", shape[0]),
        ):
            self[name].value = value
        self["FilePath"].on_put = self._put_path
        self["Capture"].on_put = self._put_capture
        bank.closers.append(self.close)

    def __getitem__(self, name: str) -> Record:
        return self._bank[self._prefix + name]

    async def _pair(self, name: str, value: Any) -> None:
        await self[name].post(value)
        await self[name + "_RBV"].post(value)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _put_path(self, _record: Record, value: str) -> Handled:
        path = os.path.join(value, "") if value else ""
        exists = await self._in_thread(_directory, path, self["CreateDirectory"].value < 0)
        await self["FilePathExists_RBV"].post(int(exists))
        await self._pair("FilePath", path)
        return HANDLED

    async def _put_capture(self, _record: Record, value: int) -> Handled:
        if value and self._file is None:
            await self._start()
        elif not value:
            await self.close()
        return HANDLED

    async def _start(self) -> None:
        try:
            path = self._full_name()
            file = await self._in_thread(self._create, path)
        except (OSError, ValueError, TypeError) as error:
            await self._fail(f"cannot open file: {error}")
            await self._pair("Capture", 0)
            return
        self._file = file
        await self["WriteStatus"].post(0, Severity.NO_ALARM)
        await self["WriteMessage"].post("")
        await self["NumCaptured_RBV"].post(0)
        await self["FullFileName_RBV"].post(path)
        await self["SWMRActive_RBV"].post(int(self["SWMRMode"].value))
        if self["AutoIncrement"].value:
            await self._pair("FileNumber", self["FileNumber"].value + 1)
        await self._pair("Capture", 1)

    def _full_name(self) -> str:
        template = str(self["FileTemplate"].value)
        parts = (self["FilePath"].value, self["FileName"].value, self["FileNumber"].value)
        directives = template.replace("%%", "").count("%")
        return template % parts[:directives]

    def _create(self, path: str) -> FrameFile:
        if self.fault == "disk_full":
            raise OSError(28, "No space left on device", path)
        return FrameFile(path, self.frame_shape, self._attributes, swmr=bool(self["SWMRMode"].value))

    async def write(self, frame: Frame) -> None:
        """Write a frame when capturing; closes the file by itself once NumCapture frames are in it."""
        if self._file is None or not self["EnableCallbacks"].value:
            return
        if self.fault == "drop" and frame.unique_id % 3 == 0:
            await self._pair("DroppedArrays", self["DroppedArrays"].value + 1)
            return
        try:
            count = await self._in_thread(self._append, self._file, frame)
        except (OSError, RuntimeError, ValueError) as error:
            await self._fail(str(error))
            await self.close()
            return
        await self["UniqueId_RBV"].post(frame.unique_id)
        await self["TimeStamp_RBV"].post(frame.timestamp)
        await self._pair("ArrayCounter", self["ArrayCounter"].value + 1)
        await self["NumCaptured_RBV"].post(count)
        if 0 < self["NumCapture"].value <= count:
            await self.close()

    def _append(self, file: FrameFile, frame: Frame) -> int:
        if self.fault == "disk_full":
            raise OSError(28, "No space left on device", file.path)
        return file.append(frame)

    async def _fail(self, message: str) -> None:
        await self["WriteStatus"].post(1, Severity.MAJOR)
        await self["WriteMessage"].post(message[:250])

    async def close(self) -> None:
        """End the capture and close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            await self._in_thread(file.close)
            if self.fault == "bad_file":
                await self._in_thread(os.truncate, file.path, 4096)
        await self["SWMRActive_RBV"].post(0)
        await self._pair("Capture", 0)


def _directory(path: str, create: bool) -> bool:
    if create and path:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError:
            return False
    return os.path.isdir(path)
