"""Work spread over threads, for kernels that release the interpreter lock."""

from __future__ import annotations

import os
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
    """Call `function` on each task, on up to `threads` threads at a time; the first error is raised."""
    work = list(tasks)
    if threads == 1 or len(work) < 2:
        for task in work:
            function(task)
        return
    with ThreadPoolExecutor(min(threads, len(work))) as pool:
        for _ in pool.map(function, work):
            pass
