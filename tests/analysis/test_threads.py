import threading

import pytest

from analysis.threads import available_threads, run_tasks


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_task_is_done_once_by_so_many_threads(threads) -> None:
    together = threading.Barrier(threads)
    done, who = [], set()

    def task(number: int) -> None:
        if number < threads:
            together.wait(timeout=30)  # passes only when all threads are at work
        who.add(threading.get_ident())
        done.append(number)

    run_tasks(task, range(40), threads)
    assert sorted(done) == list(range(40))
    assert len(who) == threads
    assert threading.get_ident() in who


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_and_nothing_more_is_begun(threads) -> None:
    begun = []

    def task(number: int) -> None:
        begun.append(number)
        raise ValueError(f"task {number}")

    with pytest.raises(ValueError, match="task"):
        run_tasks(task, range(100), threads)
    assert len(begun) <= threads


def test_tasks_may_have_tasks_of_their_own() -> None:
    done = []
    run_tasks(lambda a: run_tasks(lambda b: done.append((a, b)), range(3), 2), range(3), 2)
    assert sorted(done) == [(a, b) for a in range(3) for b in range(3)]


def test_no_tasks_and_no_threads() -> None:
    run_tasks(print, [], 2)
    with pytest.raises(ValueError, match="threads 0 is below 1"):
        available_threads(0)
