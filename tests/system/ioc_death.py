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

        status = b.sample.x.set(20.0)
        service.kill()
        begin = time.monotonic()
        try:
            status.wait(20)
        except Exception as error:  # noqa: BLE001 - to be reported, whatever it is
            answer["move"] = {"error": told(error), "seconds": time.monotonic() - begin}
        service.start()
        simulated.wait_until_ready()
        answer["move"]["back"] = reconnected(b)
        b.sample.x.set(0.0).wait(60)

        engine, _ = make_engine(folder / "journal", beamline="small")
        taken = []

        def kill_in_mid_exposure(name, doc):
            if name == "event" and not taken:
                taken.append(doc)
                threading.Timer(1.0, service.kill).start()  # the flats last 4 s

        engine.subscribe(kill_in_mid_exposure)
        arguments = {
            "energies": (8300.0, 8340.0), "angles": (0.0, 90.0), "exposure": 2.0, "sample_in": 0.0,
            "sample_out": 0.05, "flats": 10, "darks": 1, "monitors": [b.ring],
        }  # fmt: skip
        begin = time.monotonic()
        try:
            engine(xanes_tomography(b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter, **arguments))
        except Exception as error:  # noqa: BLE001 - to be reported, whatever it is
            answer["exposure"] = {"error": told(error), "seconds": time.monotonic() - begin}
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
