"""Doing several things at once, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

__all__ = ["PARALLEL", "run"]

T = TypeVar("T")
R = TypeVar("R")

# What an API server takes from one client without making it wait (DESIGN 4).
PARALLEL = 8


def run(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`function` of each item, at most eight at once, results in order.

    The first error is raised, and what has not begun by then never does. Under gevent the threads are greenlets.
    """
    items = list(items)
    if len(items) < 2:
        return [function(item) for item in items]
    results: dict[int, R] = {}
    todo = deque(enumerate(items))
    stop = Event()

    def work() -> None:
        # A future for each item would cost more than what most items need.
        while not stop.is_set():
            try:
                number, item = todo.popleft()
            except IndexError:
                return
            try:
                results[number] = function(item)
            except BaseException:
                stop.set()
                raise

    workers = min(PARALLEL, len(items))
    with ThreadPoolExecutor(workers, "kube") as pool:
        try:
            running = [pool.submit(work) for _ in range(workers)]
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stop.set()
    return [results[number] for number in range(len(items))]
