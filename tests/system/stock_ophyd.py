"""Run ophyd's own classes under each fault and print, as JSON, how it ended.

Run as a process of its own: what waits for ever is abandoned with it, and no other test has changed ophyd's defaults.
"""

import json
import os
import sys
import threading
import time

from ophyd import Component as Cpt
from ophyd import EpicsMotor, EpicsSignal, EpicsSignalRO, HDF5Plugin, SimDetector, SingleTrigger
from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite
from ophyd.utils import UnknownStatusFailure

from sim.beamline import build
from sim.control_layer import install
from sim.simulation import Simulation

FOR_EVER = 5.0  # s; all motion and exposures here last less than 0.5 s
HEAD_START = 1.5  # s before the next scenario begins beside one that has not ended
SPEED = 100.0


class Writer(HDF5Plugin, FileStoreHDF5IterativeWrite):
    """ophyd's HDF5 plugin with its file store."""


class Camera(SingleTrigger, SimDetector):
    """ophyd's detector, as its documentation builds it."""

    hdf1 = Cpt(Writer, "HDF1:", write_path_template="/")


def connected(cls, name, **options):
    """Return a connected device or signal."""
    found = cls(name, name="it", **options)
    found.wait_for_connection(timeout=5)
    return found


def move(name, distance=1.0):
    """Move a motor and wait for it."""

    def run(layer, fault):
        motor = connected(EpicsMotor, name)
        start = motor.position
        layer.put("SIM:sim:Fault", fault)
        motor.set(start + distance).wait()

    return run


def lose_in_mid_move(layer, fault):
    """Lose a motor's process variables while it moves."""
    motor = connected(EpicsMotor, "SIM:sample:x")
    status = motor.set(20.0)
    layer.put("SIM:sim:Fault", fault)
    status.wait()


def take_frames(folder):
    """Take six frames into a file."""

    def run(layer, fault):
        camera = connected(Camera, "SIM:cam:")
        camera.hdf1.write_path_template = camera.hdf1.read_path_template = folder + "/"
        camera.stage_sigs.update({"cam.num_images": 6, "cam.image_mode": 1, "cam.acquire_time": 0.05})
        camera.hdf1.stage_sigs.update({"num_capture": 6})
        layer.put("SIM:sim:Fault", fault)
        camera.stage()
        camera.trigger().wait()
        camera.unstage()

    return run


def lose_in_mid_exposure(layer, fault):
    """Lose the camera while it exposes."""
    camera = connected(Camera, "SIM:cam:")
    camera.cam.acquire_time.put(30.0)
    camera.cam.num_images.put(1)
    camera.stage_sigs.clear()
    camera.hdf1.stage_sigs.clear()
    status = camera._status = camera._status_type(camera)
    camera._acquisition_signal.subscribe(camera._acquire_changed)
    camera._acquisition_signal.put(1, wait=False)
    layer.put("SIM:sim:Fault", fault)
    status.wait()


def command(name, value):
    """Put a command and wait for its completion."""

    def run(layer, fault):
        signal = connected(EpicsSignal, name, put_complete=True, string=isinstance(value, str))
        layer.put("SIM:sim:Fault", fault)
        signal.set(value).wait()

    return run


def look(name):
    """Read a value."""

    def run(layer, fault):
        signal = connected(EpicsSignalRO, name, auto_monitor=True)
        layer.put("SIM:sim:Fault", fault)
        time.sleep(0.05)
        signal.read()

    return run


def scenarios(folder):
    """What is done under each fault."""
    frames = take_frames(folder)
    return {
        **{f"sample:x={fault}": move("SIM:sample:x") for fault in ("stall", "stuck", "no_dmov", "limit", "alarm")},
        "sample:rot=stuck": move("SIM:sample:rot", 30.0),
        "zp:z=stall": move("SIM:zp:z"),
        "mono:gap=stall": move("SIM:mono:gap", 0.2),
        "mono=off_energy": move("SIM:mono:bragg", 0.01),
        "alarm=mono:EnergyRBV": look("SIM:mono:EnergyRBV"),
        "pv=sample:x": lose_in_mid_move,
        **{f"cam={fault}": frames for fault in ("hang", "error", "drop", "lose", "bad_file", "disk_full")},
        "pv=cam:cam1:Acquire": lose_in_mid_exposure,
        "shutter=stuck": command("SIM:shutter:Cmd", "Open"),
        "photon_shutter=stuck": command("SIM:photon_shutter:Cmd", "Close"),
        "ring=dump": frames,
        "alarm=flux:Rate": look("SIM:flux:Rate"),
        "invalid=ring:Current": look("SIM:ring:Current"),
        "pv=ring:Current": look("SIM:ring:Current"),
        "ic=dead": command("SIM:counter:Count", 1),
        "foil=stuck": command("SIM:foil:Cmd", "Out"),
        "foil=missing": command("SIM:counter:Count", 1),
        "cell=silent": look("SIM:cell:Voltage"),
        "cell=over_voltage": look("SIM:cell:Voltage"),
        "cell=open": command("SIM:cell:Cmd", "Charge"),
    }


def begin(run, layer, fault):
    """Start a scenario; return its thread, and a list that will hold how it ended, in the words of the page."""
    ended = []

    def work():
        try:
            run(layer, fault)
        except UnknownStatusFailure:
            ended.append("fails without a reason")
        except Exception as reason:  # noqa: BLE001 - to be reported, whatever it is
            ended.append(f"fails: {type(reason).__name__}: {reason}")
        else:
            ended.append("success")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, ended


def main(folder):
    """Run all scenarios, each on a beamline of its own; what has not ended goes on beside the next."""
    started = {}
    for fault, run in scenarios(folder).items():
        settings = {"shape": [32, 40], "pixel_size": 400.0, "speed": SPEED, "specimen": {"voxel": 0.3}}
        layer = install(build(Simulation.from_dict(settings)).bank)
        started[fault] = begin(run, layer, fault)
        started[fault][0].join(HEAD_START)
        layer.restore()
    time.sleep(FOR_EVER)
    found = {fault: ended[0] if ended else "waits for ever" for fault, (_, ended) in started.items()}
    sys.stdout.write("\n" + json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # some threads never end: that is what was to be shown


if __name__ == "__main__":
    main(sys.argv[1])
