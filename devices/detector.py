"""The imaging detector: an areaDetector camera whose HDF5 plugin writes one file per block of frames.

A block is what one event holds: the darks, the flats, or the projections of one tomogram. ``prepare`` opens a
file for it, every ``trigger`` adds frames, ``read`` refuses a block that is not complete. The frames, their angles
and their times are described as external stream resources, one file each, so that a crash can damage the block in
progress at most.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import event_model
from ophyd import Component as Cpt
from ophyd import Device, EpicsSignalRO, Signal
from ophyd.areadetector.base import EpicsSignalWithRBV
from ophyd.status import DeviceStatus, StatusBase

from devices.acquisition import FrameCount
from devices.errors import DetectorError
from devices.file_writer import Hdf5Writer
from devices.setting import Setting
from devices.status import fail_after, put_if_connected, run_beside

__all__ = ["Camera", "Detector"]

FRAMES = "/entry/data/data"
PER_FRAME = {  # data key suffix: (dataset, source)
    "angle": ("/entry/instrument/NDAttributes/RotationAngle", "deg"),
    "time": ("/entry/instrument/NDAttributes/NDArrayTimeStamp", "s"),
}


class Camera(Device):
    """The records of an areaDetector camera driver that a scan needs."""

    acquire = Cpt(EpicsSignalWithRBV, "Acquire", kind="omitted", auto_monitor=True)
    acquire_time = Cpt(EpicsSignalWithRBV, "AcquireTime", kind="config", auto_monitor=True)
    acquire_period = Cpt(EpicsSignalWithRBV, "AcquirePeriod", kind="config", auto_monitor=True)
    image_mode = Cpt(EpicsSignalWithRBV, "ImageMode", kind="config", string=True)
    trigger_mode = Cpt(EpicsSignalWithRBV, "TriggerMode", kind="config", string=True)
    num_images = Cpt(EpicsSignalWithRBV, "NumImages", kind="omitted", auto_monitor=True)
    array_counter = Cpt(EpicsSignalWithRBV, "ArrayCounter", kind="omitted", auto_monitor=True)
    array_callbacks = Cpt(EpicsSignalWithRBV, "ArrayCallbacks", kind="omitted")
    detector_state = Cpt(EpicsSignalRO, "DetectorState_RBV", kind="omitted", string=True, auto_monitor=True)
    status_message = Cpt(EpicsSignalRO, "StatusMessage_RBV", kind="omitted", string=True)
    data_type = Cpt(EpicsSignalRO, "DataType_RBV", kind="config", string=True)
    rows = Cpt(EpicsSignalRO, "ArraySizeY_RBV", kind="config", auto_monitor=True)
    columns = Cpt(EpicsSignalRO, "ArraySizeX_RBV", kind="config", auto_monitor=True)
    gain = Cpt(EpicsSignalWithRBV, "Gain", kind="config")
    bin_x = Cpt(EpicsSignalWithRBV, "BinX", kind="config")
    bin_y = Cpt(EpicsSignalWithRBV, "BinY", kind="config")
    manufacturer = Cpt(EpicsSignalRO, "Manufacturer_RBV", kind="config", string=True)
    model = Cpt(EpicsSignalRO, "Model_RBV", kind="config", string=True)

    def describe_configuration(self) -> dict[str, Any]:
        """Data keys of the settings, with the units that areaDetector's records leave out."""
        described: dict[str, Any] = super().describe_configuration()
        for signal, units in (
            (self.acquire_time, "s"), (self.acquire_period, "s"), (self.rows, "pixel"), (self.columns, "pixel"),
            (self.bin_x, "pixel"), (self.bin_y, "pixel"),
        ):  # fmt: skip
            described[signal.name]["units"] = units
        return described


class Detector(Device):
    """An areaDetector camera with its HDF5 file writer.

    Reads ``<name>_exposure`` (s), ``<name>_pixel_size`` (nm at the sample) and the external blocks
    ``<name>_frames`` (frame, row, column), ``<name>_angle`` (deg) and ``<name>_time`` (s), one value per frame.
    """

    cam = Cpt(Camera, "cam1:")
    writer = Cpt(Hdf5Writer, "HDF1:")
    pixel_size = Cpt(EpicsSignalRO, "PixelSize", kind="normal", auto_monitor=True)  # nm at the sample
    photons_per_count = Cpt(EpicsSignalRO, "PhotonsPerCount", kind="config", auto_monitor=True)
    exposure = Cpt(Setting, value=0.0, units="s", kind="normal")  # per frame
    frames = Cpt(Signal, value=0, kind="omitted")  # frames in the block

    margin = 10.0  # s beyond the exposures before a trigger has failed
    grace = 5.0  # s in which the last frames may reach the file after the camera went idle

    def __init__(self, prefix: str, *, name: str, write_path: str, **kwargs: Any) -> None:
        self._write_path = write_path
        self._per_trigger = 1
        self._expected = 0
        self._emitted = True  # no block waits to be pointed to
        self._preparing = threading.Lock()
        self._count: FrameCount | None = None
        super().__init__(prefix, name=name, **kwargs)
        self.writer.folder = write_path
        self.pixel_size.name = f"{name}_pixel_size"

    @property
    def hints(self) -> dict[str, list[str]]:
        """Nothing of a block of frames fits into a table."""
        return {"fields": []}

    @property
    def _frame_shape(self) -> tuple[int, int]:
        return int(self.cam.rows.get()), int(self.cam.columns.get())

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame on disk."""
        rows, columns = self._frame_shape
        return rows * columns * int(_dtype(str(self.cam.data_type.get()))[-1])

    def stage(self) -> list[object]:
        """Make camera and writer ready; refuses a folder the detector cannot write to."""
        staged = super().stage()
        self.cam.acquire.put(0)
        for signal, value in (
            (self.cam.image_mode, "Multiple"),
            (self.cam.trigger_mode, "Internal"),
            (self.cam.array_callbacks, 1),
        ):
            signal.put(value)
        self.writer.make_ready(self._write_path)
        self._emitted = True
        counted = (self.cam.acquire, self.writer.num_captured, self.cam.detector_state)
        self._count = FrameCount(*counted, grace=self.grace)
        return list(staged)

    def unstage(self) -> list[object]:
        """Stop the camera and close the file of a block that was not finished."""
        if self._count is not None:
            self._count.close()
            self._count = None
        put_if_connected(self.cam.acquire, 0)
        put_if_connected(self.writer.capture, 0)
        return list(super().unstage())

    def pause(self) -> None:
        """End an acquisition without an error: a plan that is paused prepares its block again when it goes on."""
        if self._count is not None:
            self._count.release()
        self._stop_camera()

    def resume(self) -> None:
        """Nothing; the RunEngine pauses only what can also resume."""

    def prepare(self, value: dict[str, float]) -> StatusBase:
        """Open the file for a block. A second call, as after a pause, waits for the first and replaces its block.

        Parameters
        ----------
        value : dict
            ``frames``: frames in the block; ``per_trigger``: frames of one trigger (default: all of them);
            ``exposure``: seconds per frame; ``period``: seconds from frame to frame (default: the exposure);
            ``hardware_triggers``: whether each frame waits for a trigger of its own (default: no).
        """
        frames, exposure = int(value["frames"]), float(value["exposure"])
        per_trigger = int(value.get("per_trigger", frames))
        period = max(exposure, float(value.get("period", exposure)))
        if frames < 1 or per_trigger < 1 or frames % per_trigger or not exposure > 0:
            raise DetectorError(
                f"{self.name}: a block of {frames} frames, {per_trigger} per trigger, of {exposure} s cannot be taken"
            )
        status = DeviceStatus(self, timeout=30.0)
        mode = "External" if value.get("hardware_triggers") else "Internal"

        def work() -> None:
            with self._preparing:
                self.cam.acquire.put(0)
                self.cam.trigger_mode.set(mode, timeout=5).wait(5)
                self.cam.acquire_time.set(exposure, timeout=5).wait(5)
                self.cam.acquire_period.set(period, timeout=5).wait(5)
                self.cam.num_images.set(per_trigger, timeout=5).wait(5)
                self.writer.open(f"{self.name}_{uuid.uuid4().hex[:12]}", frames)
                self.exposure.put(exposure)
                self.frames.put(frames)
                self._per_trigger, self._expected, self._emitted = per_trigger, 0, False

        run_beside(work, status, f"prepare {self.name}")
        return status

    def trigger(self) -> StatusBase:
        """Take the frames of one trigger; success means that they have been counted in the file."""
        period = max(float(self.cam.acquire_time.get()), float(self.cam.acquire_period.get()))
        return self.acquire(self._per_trigger * period + self.margin)

    def acquire(self, limit: float) -> StatusBase:
        """Take the frames of one trigger within `limit` seconds; a flight knows best how long it lasts."""
        if self._count is None or self._emitted:
            raise DetectorError(f"{self.name} was triggered before a block of frames was prepared")
        self._expected += self._per_trigger
        status = DeviceStatus(self)
        fail_after(status, limit, lambda: self._not_done(limit), then=self._stop_camera)
        self._count.expect(self._expected, status, self.name)
        self.cam.acquire.put(1, wait=False)
        return status

    def _not_done(self, limit: float) -> DetectorError:
        return DetectorError(
            f"{self.name}: {self.writer.num_captured.get()} of {self._expected} frames after {limit:.1f} s; detector"
            f" state {self.cam.detector_state.get()}; it is told to stop"
        )

    def _stop_camera(self) -> None:
        put_if_connected(self.cam.acquire, 0)

    def describe(self) -> dict[str, Any]:
        """Data keys: exposure, pixel size and the external blocks."""
        described = super().describe()
        described[f"{self.name}_pixel_size"]["units"] = "nm"
        return {**described, **self.describe_block(int(self.frames.get()))}

    def describe_block(self, frames: int) -> dict[str, Any]:
        """Data keys of the external datasets with `frames` frames in each row."""
        rows, columns = self._frame_shape
        external: dict[str, Any] = OrderedDict()
        external[f"{self.name}_frames"] = {
            "source": f"{self.prefix}cam1:",
            "dtype": "array",
            "dtype_numpy": _dtype(str(self.cam.data_type.get())),
            "shape": [frames, rows, columns],
            "dims": ["frame", "row", "column"],
            "external": "STREAM:",
        }
        for key, (_, units) in PER_FRAME.items():
            external[f"{self.name}_{key}"] = {
                "source": f"{self.prefix}HDF1:",
                "dtype": "array",
                "dtype_numpy": "<f8",
                "shape": [frames],
                "dims": ["frame"],
                "units": units,
                "external": "STREAM:",
            }
        return external

    def read(self) -> dict[str, Any]:
        """Exposure and pixel size of a complete block; refuses an incomplete one."""
        taken, wanted = int(self.writer.num_captured.get()), int(self.frames.get())
        if taken != wanted:
            raise DetectorError(f"{self.name}: {taken} of {wanted} frames reached {self.writer.file_name_now}")
        self.writer.verify(wanted, FRAMES)
        return dict(super().read())

    def get_index(self) -> int:
        """Number of complete blocks in the present file: 0 or 1."""
        complete = int(self.writer.num_captured.get()) == int(self.frames.get()) > 0
        return int(complete and not self._emitted)

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Point to the file of the block that has just been read, once."""
        if index != 0:
            yield from self.point_to_block(rows=1)

    def point_to_block(self, *, rows: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents that point to a complete block, once: all of it as one row, or each frame as a row."""
        if self.get_index() == 0:
            return
        self._emitted = True
        uri = f"file://localhost{self.writer.file_name_now}"
        datasets = {"frames": FRAMES, **{key: dataset for key, (dataset, _) in PER_FRAME.items()}}
        for key, dataset in datasets.items():
            bundle = event_model.compose_stream_resource(
                mimetype="application/x-hdf5",
                uri=uri,
                data_key=f"{self.name}_{key}",
                parameters={"dataset": dataset, "swmr": True, "chunk_shape": (1,)},
            )
            yield "stream_resource", dict(bundle.stream_resource_doc)
            yield "stream_datum", dict(bundle.compose_stream_datum({"start": 0, "stop": rows}))


def _dtype(data_type: str) -> str:
    """Numpy type string of an areaDetector DataType name, e.g. UInt16 -> <u2."""
    kinds = {"UInt": "u", "Int": "i", "Float": "f"}
    for prefix, kind in kinds.items():
        if data_type.startswith(prefix) and data_type.removeprefix(prefix).isdigit():
            return f"<{kind}{int(data_type.removeprefix(prefix)) // 8}"
    raise DetectorError(f"detector data type {data_type!r} is not one of Int8..UInt64, Float32, Float64")
