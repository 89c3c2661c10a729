"""Doing several things at once, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
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
    with ThreadPoolExecutor(min(PARALLEL, len(items)), "kube") as pool:
        try:
            running = [pool.submit(function, item) for item in items]
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            failed = next((f for f in running if f in done and f.exception()), None)
            return [f.result() for f in ([failed] if failed else running)]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
