"""Asking istiods and proxies, round after round, until all that an apply concerns have taken it, or the deadline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import dumps, envoys, istiods, objects, pushes, traces
from meshwright.concerned import concerned, told
from meshwright.environment import Environment
from meshwright.envoys import Proxy
from meshwright.errors import MeshwrightError, outcome
from meshwright.istiods import Istiod, Row
from meshwright.kube import Session
from meshwright.pushes import Expected, Push
from meshwright.wording import counted, listed

__all__ = ["Proof", "Proving"]

Object = dict[str, Any]

_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_LIST_AGAIN = 2.0
_APART = 0.1
_TIMEOUT = 10.0
_SAID = 5
# A refusal is believed when it lasts: a proxy that has been sent a better one clears it a moment later.
_NEW_LASTS, _OLD_LASTS = 0.3, 1.0
# An Envoy of another version may leave out fields that it does not know, and does so for good.
_OTHER_VERSION_LASTS = 2.0


@dataclass(frozen=True)
class Proof:
    """How far it came. By name: those who `refused` what was written, those who refused configuration `earlier` and
    still do, and those that are still `waiting`, each with why; `warnings` are sentences."""

    count: int
    concerned: int
    istiods: int
    refused: Mapping[str, str]
    earlier: Mapping[str, str]
    waiting: Mapping[str, str]
    warnings: Sequence[str]


class Proving:
    """The proof that `expected` is in the proxies that `changed` concerns. `changed` are objects as they are now and as
    they were before; `refused` and `made` are what was there before the first write (`meshwright.taken.Before`)."""

    def __init__(
        self,
        session: Session,
        env: Environment,
        expected: Sequence[Expected],
        deadline: float,
        refused: Mapping[str, Mapping[str, str]],
        made: Mapping[str, str],
    ) -> None:
        self._session, self._env, self._expected, self._deadline = session, env, expected, deadline
        self._refused_before, self._made_before = refused, made
        self._pushes: dict[Istiod, Push] = {}
        self._turns: dict[Istiod, tuple[float, int]] = {}
        self._served: set[Istiod] = set()
        self._newest: dict[Istiod, int] = {}
        self._proxies: list[Proxy] = []
        self._ready: set[str] = set()
        self._away: list[str] = []
        self._listed = 0.0
        self._since: dict[object, float] = {}
        self._done: set[str] = set()
        self._traces: dict[str, frozenset[str]] = {}
        self._digests: dict[str, str] = {}
        self._other: set[str] = set()
        self._refused: dict[str, str] = {}
        self._earlier: dict[str, str] = {}
        self._waiting: dict[str, str] = {}

    def run(self, written: Sequence[Object], earlier: Sequence[Object]) -> Proof:
        """Asks until nobody is waited for, or the deadline. `written` are the objects as they are now, `earlier` those
        that were changed or deleted, as they were. Raises what listing pods raises."""
        pause = _PAUSE
        while True:
            who = self._round([*written, *earlier], earlier)
            if not self._waiting or time.monotonic() + pause > self._deadline:
                break
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        count = len([proxy for proxy in who if proxy.uid in self._done and str(proxy) not in self._waiting])
        return Proof(
            count,
            len(who),
            len(self._pushes),
            self._refused,
            self._earlier,
            self._waiting,
            self._warnings(written, who, earlier),
        )

    # One round

    def _round(self, changed: Sequence[Object], earlier: Sequence[Object]) -> list[Proxy]:
        """Looks at everything once; `_waiting` then has who is still waited for. Gives the proxies concerned."""
        self._waiting, self._refused, self._earlier = {}, {}, {}
        running = istiods.ready(self._session, self._env)
        if not running:
            self._waiting["istiod"] = "no replica is ready"
        self._take_pushes(running)
        if self._waiting:
            return []
        running = [each for each in running if each in self._pushes]
        rows = self._rows(running)
        for istiod in self._turns.keys() - self._served:
            self._serve(istiod, sum(row.istiod == istiod for row in rows.values()))
        who = self._concerned(changed, earlier)
        ask = [proxy for proxy in who if self._look_at(proxy, rows.get(proxy.id))]
        if len(self._traces) + len(ask) > traces.LARGEST:
            room = max(0, traces.LARGEST - len(self._traces))
            ask, rest = ask[:room], ask[room:]
            self._done |= {proxy.uid for proxy in rest}
        answers = self._session.map(lambda proxy: self._compare(proxy, rows[proxy.id]), ask)
        for proxy, why in zip(ask, answers, strict=True):
            # Even of one that holds everything the row is looked at once more: it was read before its dump.
            self._waiting[str(proxy)] = why or "it is looked at once more"
        return who

    def _take_pushes(self, running: Sequence[Istiod]) -> None:
        def one(istiod: Istiod) -> Push | MeshwrightError | None:
            return outcome(lambda: pushes.push(self._session, istiod, self._expected, self._deadline))

        new = [each for each in running if each not in self._pushes]
        self._pushes = {istiod: self._pushes[istiod] for istiod in running if istiod in self._pushes}
        self._turns = {istiod: turns for istiod, turns in self._turns.items() if istiod in self._pushes}
        for istiod, got in zip(new, self._session.map(one, new), strict=True):
            if isinstance(got, Push):
                self._pushes[istiod] = got
            elif got is not None:
                self._waiting[f"istiod {istiod}"] = got.message
        if running and not self._pushes and not self._waiting:
            self._waiting["istiod"] = "no replica is ready"

    def _rows(self, running: Sequence[Istiod]) -> dict[str, Row]:
        def one(istiod: Istiod) -> list[Row]:
            try:
                return istiods.connected(self._session, istiod, self._left())
            except MeshwrightError as error:
                self._waiting[f"istiod {istiod}"] = error.message
                return []

        return istiods.latest(row for rows in self._session.map(one, running) for row in rows)

    def _serve(self, istiod: Istiod, proxies: int) -> None:
        """Finds out whether a proxy that has not the state of the push has been told nevertheless."""
        at, before = self._turns[istiod]
        if time.monotonic() - at < _APART:
            return
        try:
            now = istiods.counters(self._session, istiod, self._left()).turns
        except MeshwrightError:
            return
        if pushes.served(self._pushes[istiod], before, now, proxies):
            self._served.add(istiod)
        self._turns[istiod] = time.monotonic(), now

    def _left(self) -> float:
        return max(1.0, min(_TIMEOUT, self._deadline - time.monotonic()))

    def _concerned(self, changed: Sequence[Object], earlier: Sequence[Object]) -> list[Proxy]:
        if time.monotonic() - self._listed > _LIST_AGAIN:
            self._proxies = envoys.proxies(self._session)
            self._listed = time.monotonic()
            # One that stops being ready while it is waited for is still waited for.
            self._ready |= {proxy.uid for proxy in self._proxies if proxy.ready}
        known = self._known(earlier)
        found = {proxy for obj in changed for proxy in concerned(obj, self._proxies, self._root, known)}
        self._away = sorted(str(proxy) for proxy in found if proxy.uid not in self._ready)
        # Gateways first: where not all dumps are read, these are.
        who = (proxy for proxy in found if proxy.uid in self._ready)
        return sorted(who, key=lambda proxy: (proxy.role == "sidecar", proxy))

    @property
    def _root(self) -> str:
        return next(iter(self._pushes.values())).root

    def _known(self, earlier: Sequence[Object]) -> list[Object]:
        # Of all that istiod knows, only these say whom other objects concern.
        known = [*next(iter(self._pushes.values())).objects, *earlier]
        return [obj for obj in known if obj["kind"] == "Gateway"]

    def _look_at(self, proxy: Proxy, row: Row | None) -> bool:
        """Whether its dump is to be read: nothing else is wrong, and it is not known yet that it holds everything."""
        if row is None:
            self._waiting[str(proxy)] = "it is connected to no istiod"
        elif row.refused:
            self._judge(proxy, row)
        elif row.behind:
            self._waiting[str(proxy)] = row.behind
        else:
            return proxy.uid not in self._done
        self._done.discard(proxy.uid)
        return False

    def _judge(self, proxy: Proxy, row: Row) -> None:
        """One that refused: for this apply, or as before it, or not known yet."""
        known = self._refused_before.get(proxy.id, {})
        new = {kind: why for kind, why in row.refused.items() if known.get(kind) != why}
        if not self._lasts((proxy.uid, tuple(row.refused.items())), _NEW_LASTS if new else _OLD_LASTS):
            self._waiting[str(proxy)] = row.behind
        elif new:
            self._refused[str(proxy)] = "; ".join(f"{kind}: {why}" for kind, why in new.items())
        else:
            self._earlier[str(proxy)] = "; ".join(f"{kind}: {why}" for kind, why in row.refused.items())

    def _lasts(self, what: object, seconds: float) -> bool:
        now = time.monotonic()
        return now - self._since.setdefault(what, now) >= seconds

    def _compare(self, proxy: Proxy, row: Row) -> str:
        """Why a proxy does not hold what its istiod makes for it since the push, "" when it does."""
        push = self._pushes[row.istiod]
        try:
            body = istiods.generated(self._session, row.istiod, proxy.id, self._left())
            made = dumps.parsed(body, str(row.istiod))
            if not self._told(row.istiod, istiods.number(made.version)):
                return f"{row.istiod} has not pushed to it yet"
            held = dumps.parsed(envoys.ask(self._session, proxy, "/config_dump", self._left()), f"the Envoy of {proxy}")
        except MeshwrightError as error:
            return error.message
        why = dumps.difference(made, held)
        if why:
            same = f"{push.version}-".startswith(f"{row.version}-")
            if same or not self._lasts((proxy.uid, why), _OTHER_VERSION_LASTS):
                return why
            self._other.add(str(proxy))
        self._done.add(proxy.uid)
        self._traces[proxy.id], self._digests[proxy.id] = traces.found(body), made.digest
        return ""

    def _told(self, istiod: Istiod, number: int) -> bool:
        """Whether a proxy whose state is from the push `number` has been told of all that was written."""
        push = self._pushes[istiod]
        newest = self._newest[istiod] = max(number, self._newest.get(istiod, 0))
        if number >= push.number or (istiod in self._served and number == newest):
            return True
        self._turns.setdefault(istiod, (time.monotonic(), push.turns))
        return False

    # What there is to say

    def _warnings(self, written: Sequence[Object], who: Sequence[Proxy], earlier: Sequence[Object]) -> list[str]:
        said = [
            f"{name} refused configuration before this apply, and still does: {why}"
            for name, why in self._earlier.items()
        ]
        unread = sorted({kind for push in self._pushes.values() for kind in push.unread})
        said += [f"not verified: istiod does not show which objects of kind {kind} it has read" for kind in unread]
        if self._away:
            said.append(f"not verified, because not ready: {listed(self._away)}")
        if len(who) > traces.LARGEST:
            said.append(
                f"what they hold was compared for {traces.LARGEST} of {counted(len(who), 'proxy')}; "
                "the others have acknowledged what they were sent"
            )
        if self._other:
            said.append(
                f"of another version than istiod, and showing some fields otherwise: {listed(self._other)}; "
                "they have acknowledged what they were sent"
            )
        return said + self._unused(written, earlier)

    def _unused(self, written: Sequence[Object], earlier: Sequence[Object]) -> list[str]:
        if not self._pushes or self._waiting:
            return []
        known = self._known(earlier)
        unused = {}
        for obj in filter(told, written):
            who = [proxy for proxy in concerned(obj, self._proxies, self._root, known) if proxy.ready]
            why = "it selects none, and neither do the gateways that it names"
            if who:
                why = traces.untraced(obj, who, self._traces, self._digests, self._made_before)
            part = "" if why else traces.unmatched(obj, who, self._traces)
            if why or part:
                unused[f"{'all of ' if part else ''}{obj['kind']} {objects.title(obj)}"] = why or part
        if len(unused) > _SAID:
            return [f"no proxy uses {len(unused)} of the objects: {listed(unused)}"]
        return [f"no proxy uses {name}: {why}" for name, why in unused.items()]
