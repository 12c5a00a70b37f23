"""Work spread over threads, for kernels that release the interpreter lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")


def available_threads(threads: int | None = None) -> int:
    """`threads` itself, or the number of processors this process may use where it is None."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads {threads} is below 1")
    return threads


def run_tasks(function: Callable[[Task], None], tasks: Iterable[Task], threads: int) -> None:
    """Call `function` on each task, on up to `threads` threads at a time, of which the caller's is one.

    An error is raised once the tasks under way have ended; no further ones are begun.
    """
    waiting = deque(tasks)
    others = min(threads, len(waiting)) - 1

    def work() -> None:
        try:
            while waiting:
                try:
                    task = waiting.popleft()
                except IndexError:  # another thread was faster
                    return
                function(task)
        finally:
            waiting.clear()  # empty by now, but for an error

    if others < 1:
        work()
        return
    with ThreadPoolExecutor(others) as pool:
        working = [pool.submit(work) for _ in range(others)]
        work()
        for thread in working:
            thread.result()
