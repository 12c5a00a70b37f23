"""Kill the IOC in mid-move and in mid-exposure, start it again, and print what devices and plan did as JSON.

Run as a process of its own, since the Channel Access library reads where the IOC is only once.
"""

import json
import sys
import threading
import time
from pathlib import Path

from acquisition import channel_access
from acquisition.config import BeamlineFile, packaged
from acquisition.simulation import SimulatedBeamline

SMALL = "shape = [32, 40]\npixel_size = 400.0\nspeed = 5.0\nspecimen = {voxel = 0.3}\n"


def reconnected(devices, *, timeout=60.0):
    """Wait until every device is there again."""
    end = time.monotonic() + timeout
    while not all(device.connected for device in devices.devices()):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def told(error):
    """Return what an error, and all that led to it, say."""
    said = []
    while error is not None:
        said += [str(error), *(str(a.exception()) for a in error.args if hasattr(a, "exception"))]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def noticed(plan, when):
    """Pass a plan on, and keep when an exception first reached it."""
    answer = None
    while True:
        try:
            message = plan.send(answer) if not isinstance(answer, Exception) else plan.throw(answer)
        except StopIteration as end:
            return end.value
        try:
            answer = yield message
        except Exception as reason:  # noqa: BLE001 - passed on to the plan
            when.append(time.monotonic())
            answer = reason


def stock_motor(name):
    """Return ophyd's own motor."""
    from ophyd import EpicsMotor

    motor = EpicsMotor(name, name="stock")
    motor.wait_for_connection(timeout=10)
    return motor


def stock_camera(prefix, folder):
    """Return ophyd's own detector, exposing for longer than the IOC will live."""
    from ophyd import Component, HDF5Plugin, SimDetector, SingleTrigger
    from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite

    class Writer(HDF5Plugin, FileStoreHDF5IterativeWrite):
        """ophyd's HDF5 plugin with its file store."""

    class Camera(SingleTrigger, SimDetector):
        """ophyd's detector with a file."""

        hdf1 = Component(Writer, "HDF1:", write_path_template=f"{folder}/")

    camera = Camera(prefix, name="stock_camera")
    camera.wait_for_connection(timeout=10)
    camera.stage_sigs.update({"cam.num_images": 10, "cam.image_mode": 1, "cam.acquire_time": 10.0})
    camera.stage()
    return camera


def ended(status, *, seconds=5.0):
    """How a status of stock ophyd ends after its server has died, in the words of the reference page."""
    from ophyd.utils import WaitTimeoutError

    try:
        status.wait(seconds)
    except WaitTimeoutError:
        return "waits for ever"
    except Exception as error:  # noqa: BLE001 - to be reported, whatever it is
        return f"fails: {error}"
    return "success"


def main(folder):
    """Run all scenarios."""
    file = folder / "beamline.toml"
    file.write_text(packaged("txm_sim").read_text() + SMALL)
    simulated = SimulatedBeamline(file, folder / "truth", log=folder / "ioc.log")
    answer = {}
    with simulated.service as service:
        simulated.wait_until_ready()
        channel_access.configure([simulated.server], repeater_port=simulated.port + 1)
        from acquisition import beamline
        from acquisition.engine import make_engine
        from acquisition.journal import read
        from plans.xanes_tomography import xanes_tomography

        channel_access.set_timeouts()
        b = beamline.build(_below(BeamlineFile.load(file), folder))
        begin = time.monotonic()
        beamline.connect(b)
        answer["connected_in"] = time.monotonic() - begin

        stock = stock_motor("SIM:sample:y")
        status, ophyds = b.sample.x.set(20.0), stock.set(9.0)
        service.kill()
        begin = time.monotonic()
        try:
            status.wait(20)
        except Exception as error:  # noqa: BLE001 - to be reported, whatever it is
            answer["move"] = {"error": told(error), "seconds": time.monotonic() - begin}
        answer["move"]["stock"] = ended(ophyds)
        service.start()
        simulated.wait_until_ready()
        answer["move"]["back"] = reconnected(b)
        b.sample.x.set(0.0).wait(60)

        camera = stock_camera("SIM:cam:", folder)
        ophyds = camera.trigger()
        service.kill()
        answer["stock exposure"] = ended(ophyds)
        service.start()
        simulated.wait_until_ready()
        reconnected(b)

        engine, _ = make_engine(folder / "journal", beamline="small")
        taken = []

        killed = []

        def kill():
            service.kill()
            killed.append(time.monotonic())

        def kill_in_mid_exposure(name, doc):
            if name == "event" and not taken:
                taken.append(doc)
                threading.Timer(1.0, kill).start()  # the flats last 4 s

        engine.subscribe(kill_in_mid_exposure)
        arguments = {
            "energies": (8300.0, 8340.0), "angles": (0.0, 90.0), "exposure": 2.0, "sample_in": 0.0,
            "sample_out": 0.05, "flats": 10, "darks": 1, "monitors": [b.ring],
        }  # fmt: skip
        axes = (b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter)
        failed = []
        try:
            engine(noticed(xanes_tomography(*axes, **arguments), failed))
        except Exception as error:  # noqa: BLE001 - to be reported, whatever it is
            answer["exposure"] = {"error": told(error), "told": failed[0] - killed[0]}
        (journal,) = (folder / "journal").glob("*.jsonl")
        documents = read(journal)
        answer["exposure"]["exit_status"] = documents[-1][1].get("exit_status")
        answer["exposure"]["events"] = sum(name == "event" for name, _ in documents)
        service.start()
        simulated.wait_until_ready()
        answer["exposure"]["back"] = reconnected(b)
        arguments |= {"exposure": 0.1, "flats": 2}
        engine(xanes_tomography(b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter, **arguments))
        answer["again"] = engine.state
    sys.stdout.write(json.dumps(answer))


def _below(file, folder):
    storage = file.storage.below(folder)
    for place in (storage.frames, storage.journal):
        place.mkdir(parents=True, exist_ok=True)
    return file.model_copy(update={"storage": storage})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
