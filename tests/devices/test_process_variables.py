"""Every process variable that a device asks for is there, of the right kind, and no class of devices is left out."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest
from ophyd import Device, EpicsSignal
from ophyd.signal import EpicsSignalBase

import devices
from acquisition import beamline
from acquisition.channel_access import set_timeouts
from acquisition.config import load_file, packaged
from sim.beamline import build
from sim.control_layer import install
from sim.records import Kind
from sim.simulation import Simulation

FILES = ("txm_sim", "fxi_sim", "xas_sim")
NUMBERS = {Kind.DOUBLE, Kind.INT, Kind.SHORT, Kind.ENUM}
SMALL = {"shape": (16, 16), "pixel_size": 800.0, "speed": 100.0}


def _bank(name):
    simulation = Simulation.from_toml(packaged(name))
    coarse = dataclasses.replace(simulation.specimen, voxel=0.5)
    return build(simulation.replace(**SMALL, specimen=coarse)).bank


@pytest.fixture(scope="module", params=FILES)
def station(request, tmp_path_factory):
    """The devices of a packaged beamline file on its simulation, and the records behind them."""
    layer = install(_bank(request.param))
    set_timeouts()
    try:
        file = load_file(packaged(request.param))
        devices = beamline.build_station(file)
        beamline.connect(devices, timeout=5.0)
    finally:
        layer.restore()
    yield devices, layer.bank
    layer.close()


def signals_of(station):
    """Every process variable signal of a station."""
    for device in station.devices():
        for _, _, signal in _walk(device):
            if isinstance(signal, EpicsSignalBase):
                yield signal


def _walk(device):
    return ((w.ancestors, w.dotted_name, w.item) for w in device.walk_signals(include_lazy=True))


def test_every_process_variable_exists_and_has_the_right_kind(station):
    made, bank = station
    for signal in signals_of(made):
        record = bank.get(signal.pvname)
        assert record is not None, f"{signal.name}: {signal.pvname} is not served"
        if signal._string:
            assert record.kind in (Kind.ENUM, Kind.STRING, Kind.LONG_STRING), f"{signal.pvname} is no text"
        elif record.kind not in (Kind.ARRAY, Kind.STRING):
            assert record.kind in NUMBERS, f"{signal.pvname} is no number"


def test_what_is_written_may_be_written(station):
    made, bank = station
    for signal in signals_of(made):
        if isinstance(signal, EpicsSignal) and not signal.pvname.endswith(".TDIR"):  # read only in the record, too
            name = signal.setpoint_pvname
            assert not bank[name].read_only, f"{signal.name}: {name} cannot be written"


def test_every_number_a_scan_records_has_its_unit(station):
    made, _ = station
    without = {
        "magnification",
        "gain",
        "triggers",
        "missed",
        "counts",
        "state_of_charge",
        "photons_per_count",
        "points",
    }
    for device in made.devices():
        for name, key in {**device.describe(), **device.describe_configuration()}.items():
            if key["dtype"] == "number" and not any(name.endswith(word) for word in without):
                assert key.get("units"), f"{name} has no unit"


def test_no_class_of_devices_is_left_out(request):
    made = set()
    for name in FILES:
        layer = install(_bank(name))
        try:
            station = beamline.build_station(load_file(packaged(name)))
            for device in station.devices():
                made.add(type(device))
                made |= {type(sub) for _, sub in device.walk_subdevices(include_lazy=True)}
        finally:
            layer.close()
    defined = set()
    for module in pkgutil.iter_modules(devices.__path__):
        for _, item in inspect.getmembers(importlib.import_module(f"devices.{module.name}"), inspect.isclass):
            if issubclass(item, Device) and item.__module__.startswith("devices."):
                defined.add(item)
    abstract = {cls for cls in defined if any(cls in sub.__mro__[1:] for sub in made)}
    assert defined - made - abstract == set()
