"""Many moves over Channel Access: every one must end, and in position.

Run ``python -m benchmarks.soak_moves --moves 20000``; a move that does not end within 10 s stops it with exit status 1.
"""

import argparse
import sys
import time

from benchmarks.bench_devices import beamline


def main() -> int:
    """Move to and fro; return the exit status."""
    line = argparse.ArgumentParser(description=__doc__)
    line.add_argument("--moves", type=int, default=20000)
    moves = line.parse_args().moves
    with beamline() as (devices, _):
        from ophyd.utils import WaitTimeoutError  # the Channel Access environment must stand before ophyd

        motor = devices.sample.x
        begin = time.monotonic()
        for number in range(moves):
            status = motor.set(1e-3 * (number % 3))
            try:
                status.wait(10)
            except WaitTimeoutError:
                print(f"move {number} has not ended")
                return 1
        seconds = time.monotonic() - begin
    print(f"{moves} moves ended in position, {1e3 * seconds / moves:.2f} ms each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
