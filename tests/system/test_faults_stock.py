"""What ophyd's own classes do under each fault is what the reference page says of them."""

import pytest

pytestmark = [pytest.mark.system, pytest.mark.soak, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def outcomes(scenarios):
    """How each scenario ended."""
    return scenarios("stock_ophyd.py")


def test_stock_ophyd_is_run_under_every_fault_that_can_be_put(outcomes, rows):
    assert set(outcomes) == {fault for fault in rows if "=" in fault}


def test_stock_ophyd_ends_as_the_page_says(outcomes, rows):
    found = {fault: outcome.partition(":")[0] for fault, outcome in outcomes.items()}
    assert found == {fault: rows[fault].stock for fault in found}
