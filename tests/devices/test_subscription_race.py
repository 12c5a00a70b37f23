"""A move that begins while the end of the one before is being told ends, too; in stock ophyd it never does."""

import pytest
from ophyd import EpicsMotor
from ophyd.utils import WaitTimeoutError

from acquisition.channel_access import set_timeouts
from devices.motors import Motor
from sim.clock import Clock
from sim.control_layer import install
from sim.motor_record import Motor as MotorRecord
from sim.records import Bank


@pytest.fixture
def second_move():
    """Return a function that makes a motor move again from within the news of its first move's end."""
    bank = Bank()
    MotorRecord(bank, "M:x", Clock(1000.0))
    layer = install(bank)
    set_timeouts()

    def run(cls):
        motor = cls("M:x", name="x")
        motor.wait_for_connection(timeout=5)
        moves = []

        def again(**_):
            moves.append(motor.move(0.02, wait=False))

        first = motor.move(0.01, wait=False)
        motor.subscribe(again, event_type=motor._SUB_REQ_DONE if cls is EpicsMotor else motor.SUB_DONE, run=False)
        first.wait(5)
        while not moves:
            pass
        return moves[0]

    yield run
    layer.close()


def test_stock_ophyd_loses_the_second_move(second_move):
    status = second_move(EpicsMotor)
    with pytest.raises(WaitTimeoutError):
        status.wait(1.0)  # the motion takes milliseconds


def test_ours_ends_it(second_move):
    second_move(Motor).wait(5)
