"""The HDF5 plugin of an areaDetector: one file per block, opened and counted by read-backs."""

import shutil
import threading
from pathlib import Path
from typing import Any

import h5py
from ophyd import Component as Cpt
from ophyd import Device, EpicsSignal, EpicsSignalRO, Signal
from ophyd.areadetector.base import EpicsSignalWithRBV

from devices.errors import DetectorError

__all__ = ["FreeSpace", "Hdf5Writer"]


class FreeSpace(Signal):
    """Free bytes in the folder the detector writes to, asked of the file system at each reading."""

    def get(self, **_: Any) -> int:
        """Free bytes where the folder is or will be made."""
        folder = Path(self.parent.folder)
        there = next(place for place in (folder, *folder.parents) if place.is_dir())
        return shutil.disk_usage(there).free


class Hdf5Writer(Device):
    """The records of an NDFileHDF5 plugin that a scan needs."""

    enable = Cpt(EpicsSignalWithRBV, "EnableCallbacks", kind="omitted")
    file_path = Cpt(EpicsSignal, "FilePath_RBV", write_pv="FilePath", kind="config", string=True)
    file_path_exists = Cpt(EpicsSignalRO, "FilePathExists_RBV", kind="omitted", auto_monitor=True)
    create_directory = Cpt(EpicsSignalWithRBV, "CreateDirectory", kind="omitted")
    file_name = Cpt(EpicsSignal, "FileName_RBV", write_pv="FileName", kind="omitted", string=True)
    file_template = Cpt(EpicsSignal, "FileTemplate_RBV", write_pv="FileTemplate", kind="omitted", string=True)
    file_number = Cpt(EpicsSignalWithRBV, "FileNumber", kind="omitted")
    auto_increment = Cpt(EpicsSignalWithRBV, "AutoIncrement", kind="omitted")
    write_mode = Cpt(EpicsSignalWithRBV, "FileWriteMode", kind="omitted", string=True)
    swmr_mode = Cpt(EpicsSignalWithRBV, "SWMRMode", kind="config", string=True)
    lazy_open = Cpt(EpicsSignalWithRBV, "LazyOpen", kind="omitted")
    num_capture = Cpt(EpicsSignalWithRBV, "NumCapture", kind="omitted")
    num_captured = Cpt(EpicsSignalRO, "NumCaptured_RBV", kind="omitted", auto_monitor=True)
    capture = Cpt(EpicsSignalWithRBV, "Capture", kind="omitted", auto_monitor=True)
    full_file_name = Cpt(EpicsSignalRO, "FullFileName_RBV", kind="omitted", string=True, auto_monitor=True)
    write_status = Cpt(EpicsSignalRO, "WriteStatus", kind="omitted", string=True, auto_monitor=True)
    write_message = Cpt(EpicsSignalRO, "WriteMessage", kind="omitted", string=True)
    dropped_arrays = Cpt(EpicsSignalWithRBV, "DroppedArrays", kind="omitted")
    free_space = Cpt(FreeSpace, kind="omitted")

    folder = "/"  # that frames go to
    file_timeout = 10.0  # s for the plugin to open a file

    @property
    def file_name_now(self) -> str:
        """Full name of the present file."""
        return str(self.full_file_name.get())

    def make_ready(self, folder: str) -> None:
        """Set the plugin up to stream into `folder`; raise when the detector cannot see or make the folder."""
        self.capture.put(0)
        self.enable.put(1)
        self.create_directory.put(-5)  # areaDetector: make up to five missing levels
        self.file_path.put(folder, wait=True)
        if not self.file_path_exists.get(use_monitor=False):
            raise DetectorError(f"{self.name}: the detector cannot write to folder {folder!r}; does it exist there?")
        self.write_mode.put("Stream")
        self.swmr_mode.put("On")
        self.lazy_open.put(1)
        self.auto_increment.put(0)
        self.file_number.put(0)
        self.file_template.put("%s%s_%6.6d.h5")

    def verify(self, frames: int, dataset: str) -> None:
        """Wait until the plugin has closed a complete file, and raise unless `dataset` in it holds `frames` frames.

        Where the detector's folder is not visible from here, its own word has to do.
        """
        self._wait_until_closed()
        path = Path(self.file_name_now)
        if not path.parent.is_dir():
            return
        try:
            with h5py.File(path, "r") as file:
                found = int(file[dataset].shape[0])
        except (OSError, KeyError) as reason:
            raise DetectorError(f"{self.name}: file {path} cannot be read back: {reason}") from reason
        if found != frames:
            raise DetectorError(f"{self.name}: file {path} holds {found} of {frames} frames")

    def _wait_until_closed(self) -> None:
        closed = threading.Event()

        def look(value: Any = None, **_: Any) -> None:
            if not value:
                closed.set()

        token = self.capture.subscribe(look, run=True)
        try:
            if not closed.wait(self.file_timeout):
                raise DetectorError(f"{self.name}: file {self.file_name_now} not closed within {self.file_timeout} s")
        finally:
            self.capture.unsubscribe(token)

    def open(self, file_name: str, frames: int) -> None:
        """Open a new file for `frames` frames; blocks until the plugin captures, raises what it reports."""
        if self.capture.get(use_monitor=False):
            self.capture.put(0, wait=True)
        self.file_name.put(file_name)
        self.num_capture.put(frames)
        answered = threading.Event()  # it captures, or the put is over already: the file could not be opened

        def on_capture(value: Any = None, **_: Any) -> None:
            if value:
                answered.set()

        token = self.capture.subscribe(on_capture, run=False)
        try:
            self.capture.put(1, wait=False, use_complete=True, callback=lambda **_: answered.set())
            opened = answered.wait(self.file_timeout) and bool(self.capture.get(use_monitor=False))
        finally:
            self.capture.unsubscribe(token)
        if not opened or self.write_status.get(use_monitor=False) != "Write OK":
            message = self.write_message.get() or f"the plugin did not start within {self.file_timeout} s"
            raise DetectorError(f"{self.name}: no file for {frames} frames in {self.file_path.get()}: {message}")
