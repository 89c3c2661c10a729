"""Several things at once, within bounds."""

from __future__ import annotations

import threading
import time

import pytest

from meshwright.kube import parallel


def test_results_are_in_order_and_each_item_is_done_once() -> None:
    seen: list[int] = []

    def double(number: int) -> int:
        seen.append(number)
        time.sleep(0.001 * (number % 3))
        return 2 * number

    assert parallel.run(double, range(50)) == [2 * number for number in range(50)]
    assert sorted(seen) == list(range(50))
    assert parallel.run(double, []) == []


def test_no_more_than_eight_are_done_at_once() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    parallel.run(work, range(40))
    assert most == parallel.PARALLEL


@pytest.mark.parametrize("error", [ValueError, IndexError, StopIteration, KeyboardInterrupt])
def test_the_first_error_is_raised_and_what_has_not_begun_never_does(error: type[BaseException]) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == 3:
            raise error("three")
        time.sleep(0.02)
        done.append(number)

    with pytest.raises(error, match="three"):
        parallel.run(work, range(200))
    finished = len(done)
    time.sleep(0.05)
    assert len(done) == finished < 20
