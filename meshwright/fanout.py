"""One change over all clusters of an environment: one first, and the rest while it goes well.

The order, who is begun when and what the whole ends with is decided here; what is done to one cluster is not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from meshwright.environment import Loaded
from meshwright.environment.clusters import environment_of
from meshwright.environment.rollout import Rollout
from meshwright.errors import Exit, Refused
from meshwright.plan import digest

__all__ = ["approval", "code", "distinct", "ordered", "roll", "rules", "worst"]

_WORST = (Exit.INTERRUPTED, Exit.BAD_INPUT, Exit.USAGE, Exit.REFUSED, Exit.ERROR, Exit.UNVERIFIED, Exit.CHANGES)


def rules(members: Sequence[Loaded]) -> Rollout:
    """How a change goes over these clusters of one environment."""
    return members[0].env.rollout or Rollout()


def ordered(members: Sequence[Loaded]) -> list[Loaded]:
    """The clusters in the order in which they are changed: that of the file, after the one that is to be first."""
    first = rules(members).first
    return sorted(members, key=lambda each: each.env.name != f"{each.env.environment}/{first}")


def distinct(clusters: Mapping[str, str | None]) -> None:
    """Compares who answered: `clusters` has the uid of each cluster, by the name of the environment's cluster; None
    where there is none yet. Raises Refused: two names lead to one cluster."""
    seen: dict[str, str] = {}
    for name, uid in clusters.items():
        if uid is None:
            continue
        other = seen.setdefault(uid, name)
        if other != name:
            raise Refused(
                f"{other} and {name} are one cluster: both have the uid {uid}",
                hint=f"Look where the contexts of both lead, and correct group_data/{environment_of(name)}.yaml",
            )


def approval(digests: Mapping[str, str]) -> str:
    """The digest that covers the plans of all clusters; `digests` has each cluster's, by its name."""
    return digest(sorted(digests.items()))


def roll(names: Sequence[str], rules: Rollout, work: Callable[[str], Exit], stop: threading.Event) -> dict[str, Exit]:
    """Does `work` on the first cluster, and if that goes well on the rest: `at_once` at a time, until more than the
    budget have failed. Gives how it ended where it was begun, in the order of `names`.

    With one at a time all is done in this thread; else Ctrl-C sets `stop`, on which `work` ends. It raises nothing that
    is expected.
    """
    first, *rest = names
    ended = {first: work(first)}
    if ended[first] is not Exit.OK:
        return ended
    if rules.at_once == 1:
        for name in rest:
            if _spent(ended, rules):
                break
            ended[name] = work(name)
    else:
        with ThreadPoolExecutor(rules.at_once) as pool:
            try:
                _at_once(pool, rest, rules, work, ended)
            except KeyboardInterrupt:
                stop.set()  # before the pool waits for its threads
                raise
    return {name: ended[name] for name in names if name in ended}


def _at_once(
    pool: ThreadPoolExecutor, rest: Iterable[str], rules: Rollout, work: Callable[[str], Exit], ended: dict[str, Exit]
) -> None:
    waiting = iter(rest)
    running: dict[Future[Exit], str] = {}
    while True:
        while len(running) < rules.at_once and not _spent(ended, rules):
            name = next(waiting, None)
            if name is None:
                break
            running[pool.submit(work, name)] = name
        if not running:
            return
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            ended[running.pop(done)] = done.result()


def _spent(ended: Mapping[str, Exit], rules: Rollout) -> bool:
    return sum(each is not Exit.OK for each in ended.values()) > rules.failure_budget


def code(names: Sequence[str], ended: Mapping[str, Exit]) -> Exit:
    """What a change of all clusters ends with: 0 where it went well in all; where it failed in each, the code that all
    of them have, or 1; else 5."""
    failed = [each for each in ended.values() if each is not Exit.OK]
    if not failed and len(ended) == len(names):
        return Exit.OK
    if len(failed) == len(names):
        return failed[0] if len(set(failed)) == 1 else Exit.ERROR
    return Exit.PARTIAL


def worst(codes: Iterable[int]) -> Exit:
    """What a look at all clusters ends with: the code that says most, of those in which it ended for one each. What
    could not be looked at comes before what was found."""
    found = {Exit(each) for each in codes}
    return next((each for each in _WORST if each in found), Exit.OK)
