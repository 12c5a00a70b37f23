"""Public plans can be checked by a queue server, looked at without running, and planned from their documents."""

import inspect
import json
import types
import typing

import bluesky.protocols
import numpy as np
import pytest
from bluesky.simulators import check_limits, summarize_plan

from plans.energy_scan import energy_scan
from plans.errors import PlanRefused
from plans.grids import angle_set, energy_grid
from plans.in_situ import in_situ
from plans.metadata import plan_metadata
from plans.xanes_tomography import xanes_tomography

PLAIN = {int, float, str, bool, dict, tuple, type(None), typing.Any}


def understood(annotation):
    """Whether a queue server can validate this annotation: bluesky's protocols, plain types, and sequences of them."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return all(map(understood, arguments))
    if origin is typing.Literal:
        return True
    if origin is not None and (origin.__module__ == "collections.abc" or origin in PLAIN):
        return all(map(understood, arguments))
    if getattr(origin or annotation, "__module__", "") == bluesky.protocols.__name__:
        return all(map(understood, arguments))
    return annotation in PLAIN


@pytest.mark.parametrize("plan", [xanes_tomography, energy_scan, in_situ])
def test_signatures_use_only_what_a_queue_server_understands(plan):
    for parameter in inspect.signature(plan).parameters.values():
        assert not isinstance(parameter.annotation, str), "annotations must not be postponed"
        assert understood(parameter.annotation), parameter


def test_the_plan_can_be_checked_and_summarised_without_moving_anything(scan, capsys):
    before = scan.world.settings()
    check_limits(scan.plan())
    summarize_plan(scan.plan())
    assert "Open Run" in capsys.readouterr().out
    assert scan.world.settings() == before


@pytest.mark.parametrize("plan", ["spectrum", "charge"])
def test_plans_of_spectra_can_be_summarised_without_moving_anything(bulk_scan, capsys, plan):
    before = bulk_scan.world.devices.energy.position
    check_limits(getattr(bulk_scan, plan)())
    summarize_plan(getattr(bulk_scan, plan)())
    assert "Open Run" in capsys.readouterr().out
    assert bulk_scan.world.devices.energy.position == before
    assert bulk_scan.safe()


def test_an_energy_grid_made_of_parts_takes_shared_ends_once():
    grid = energy_grid((8250.0, 8330.0, 20.0), (8330.0, 8332.0, 0.5))
    assert grid == [8250.0, 8270.0, 8290.0, 8310.0, 8330.0, 8330.5, 8331.0, 8331.5, 8332.0]


def test_the_first_angles_of_a_golden_set_cover_the_half_turn():
    gaps = sorted(angle_set(100, order="golden")[:8])
    widest = max(b - a for a, b in zip(gaps, [*gaps[1:], gaps[0] + 180.0], strict=True))
    assert widest < 2 * 180.0 / 8  # evenly spread ones are 22.5 degrees apart


@pytest.mark.parametrize("part", [(8300.0, 8290.0, 1.0), (8300.0, 8310.0, 0.0), (8300.0, 8310.0, -1.0)])
def test_a_grid_that_leads_nowhere_is_refused(part):
    with pytest.raises(PlanRefused, match="needs a step above 0 and last >= first"):
        energy_grid(part)


def test_metadata_of_the_user_may_not_hide_what_was_planned():
    found = plan_metadata("scan", {"a": 1.0}, {"plan_name": "other", "plan_args": None, "note": "x"})
    assert found == {"plan_name": "scan", "plan_args": {"a": 1.0}, "note": "x"}


def test_numpy_arguments_are_recorded_as_numbers():
    found = plan_metadata("scan", {"grid": np.arange(3), "one": np.float32(0.5)}, None)["plan_args"]
    assert json.loads(json.dumps(found)) == {"grid": [0, 1, 2], "one": 0.5}
