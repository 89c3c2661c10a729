"""Environments as a report finds them, made here: one that is well, one that gives no answer, one full of traps."""

from __future__ import annotations

import datetime as dt
from typing import Any

from meshwright.environment.maintenance import Windows
from meshwright.promotion.standing import Standing
from meshwright.records import Record, Result
from meshwright.report import mesh, month, runs
from meshwright.report.gathering import Certificate, Gathered, Life, Touched
from meshwright.report.runs import Run
from meshwright.windows.calendar import Calendar

NOW = dt.datetime(2026, 11, 24, 9, 30, tzinfo=dt.UTC)
TRAP = "<script>alert(1)</script>\"'><img src=https://evil.example/x onerror=alert(2)>"
WINDOWS = {
    "timezone": "Europe/Berlin",
    "allow": {"nights": {"weekly": "mon-thu 22:00-04:00"}, "sunday": {"cron": "0 6 * * sun", "duration": "8h"}},
    "blackouts": ["2026-12-18..2027-01-06"],
    "cutoff": "30m",
}


def made(api: str, kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """An object; `name` is NAMESPACE/NAME."""
    namespace, _, own = name.partition("/")
    return {"apiVersion": api, "kind": kind, "metadata": {"namespace": namespace, "name": own}, "spec": spec}


def istio(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """An object of Istio's networking."""
    return made("networking.istio.io/v1", kind, name, **spec)


def api(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """An object of the Gateway API."""
    return made("gateway.networking.k8s.io/v1", kind, name, **spec)


def to(host: str, subset: str | None = None, weight: int | None = None, port: int | None = None) -> dict[str, Any]:
    """A destination of a route."""
    destination: dict[str, Any] = {"host": host} | ({"subset": subset} if subset else {})
    if port:
        destination["port"] = {"number": port}
    return {"destination": destination} | ({"weight": weight} if weight is not None else {})


def bookinfo() -> list[dict[str, Any]]:
    """Bookinfo, with a canary, a mirror, a redirect, and a shop of the Gateway API."""
    servers = [
        {"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["bookinfo.example.com"]},
        {"port": {"number": 443, "protocol": "HTTPS"}, "hosts": ["bookinfo.example.com", "www.example.com"]},
    ]
    subsets = [{"name": v, "labels": {"version": v}} for v in ("v1", "v2", "v3")]
    return [
        istio("Gateway", "bookinfo/bookinfo-gateway", selector={"istio": "ingressgateway"}, servers=servers),
        istio(
            "VirtualService", "bookinfo/bookinfo", hosts=["bookinfo.example.com"], gateways=["bookinfo-gateway"],
            http=[
                {"match": [{"uri": {"exact": "/"}}], "redirect": {"uri": "/productpage"}},
                {"route": [to("productpage", port=9080)]},
            ],
        ),
        istio(
            "VirtualService", "bookinfo/reviews", hosts=["reviews"],
            http=[
                {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [to("reviews", "v3")]},
                {"route": [to("reviews", "v1", 75), to("reviews", "v2", 25)],
                 "mirror": {"host": "reviews", "subset": "v3"}, "mirrorPercentage": {"value": 10}},
            ],
        ),
        istio("VirtualService", "bookinfo/ratings", hosts=["ratings"], http=[{"route": [to("ratings")]}]),
        istio("DestinationRule", "bookinfo/reviews", host="reviews", subsets=subsets),
        api("Gateway", "shop/shop", listeners=[{"name": "https", "port": 443, "protocol": "HTTPS",
                                                 "hostname": "shop.example.com"}]),
        api("HTTPRoute", "shop/shop", parentRefs=[{"name": "shop"}], hostnames=["shop.example.com"],
            rules=[{"backendRefs": [{"name": "shop", "port": 80, "weight": 9},
                                    {"name": "shop-next", "port": 80, "weight": 1}]}]),
    ]  # fmt: skip


def run(number: int, **over: Any) -> Run:
    """The same as a report lists it."""
    [found], _ = runs.of([record(number, **over)])
    return found


def record(number: int, **over: Any) -> Record:
    """A run of this long ago, in hours."""
    start = NOW - dt.timedelta(hours=5 * number + 1)
    change = {"action": "change", "kind": "VirtualService", "name": "bookinfo/reviews", "fields": [], "why": ""}
    values: dict[str, Any] = {
        "id": f"{start:%Y%m%d-%H%M%S}-{number:06x}", "environment": "prod", "started": start.isoformat(),
        "ended": (start + dt.timedelta(seconds=12.3)).isoformat(), "result": Result.OK, "message": "", "hint": "",
        "who": {"user": "op", "machine": "bastion"}, "cluster": None,
        "commit": {"id": "4397bec0" * 5, "dirty": number % 3 == 0}, "reason": f"ticket {4711 + number}",
        "approved": None, "program": "meshwright", "deploy": "resources", "steps": (), "checks": (), "notes": (),
        "plan": ({"host": "@local", "step": "resources", "known_after": None, "changes": [change]},),
    }  # fmt: skip
    return Record(**values | over)


def certificate(
    role: str, name: str, days: float, whole: float, limits: tuple[float, float], state: str
) -> Certificate:
    until = (NOW + dt.timedelta(days=days)).isoformat(timespec="seconds")
    hint = "" if state == "ok" else "Renew it"
    return Certificate(role, name, state, f"{int(days)} days left", hint, Life(days, whole, *limits, until))


CERTIFICATES = (
    certificate("gateway", "Secret istio-system/expired of Gateway shop/old", -2, 90, (21, 7), "failed"),
    certificate("workload", "bookinfo/productpage-v1-6d5f9c8b7-x2x9z", 0.8, 1, (0.4, 0.1), "ok"),
    certificate(
        "gateway", "Secret istio-system/bookinfo-tls of Gateway bookinfo/bookinfo-gateway", 14, 90, (21, 7), "warning"
    ),
    certificate("intermediate", "CN=Intermediate CA,O=Example", 200, 730, (60, 30), "ok"),
    certificate("root", "O=Example Root CA", 3105, 3650, (365, 90), "ok"),
    Certificate("", "authority self-signed, Secret istio-system/istio-ca-secret", "ok", "istiod made it"),
    Certificate("", "workload bookinfo/ratings-v1-1", "not verified", "it gives no answer", "Is it running?"),
)


def well(name: str = "prod") -> Gathered:
    """An environment that has some of everything."""
    standing = Standing(
        name, "up", "sha256:" + "1a2b3c4d5e6f" * 5, True, "2026-11-24T08:30:00Z", "12 checks held", "2 objects", 2,
        "Tue 2026-11-24 22:00 CET", 3105,
    )  # fmt: skip
    made = [run(number) for number in range(9)]
    made[2] = run(2, result=Result.FAILED, message="the Deployment bookinfo/reviews-v3 did not become ready in 120 s")
    made[4] = run(4, result=Result.INTERRUPTED, ended=None, message="it has no end; the last step was resources")
    return Gathered(
        standing,
        protected=True,
        month=month.of(Calendar.of(Windows.model_validate(WINDOWS)), NOW),
        runs=tuple(made),
        certificates=CERTIFICATES,
        mesh=mesh.of_objects(bookinfo(), "the cluster"),
        drift=(
            Touched("resources", "VirtualService", "bookinfo/reviews", "spec.http[1].route[0].weight", "changed",
                    90, 75, "kubectl-edit, 2026-11-24T07:00:00Z"),
            Touched("resources", "DestinationRule", "bookinfo/ratings", "", "deleted"),
        ),
        checked=14,
        notes={"runs": ["31 older runs are not shown; `meshwright history prod`"]},
    )  # fmt: skip


def away(name: str = "staging") -> Gathered:
    """One whose cluster gives no answer."""
    why = "10.0.0.1:6443 cannot be reached from @local: no route to host"
    return Gathered(
        Standing(name, why),
        month=month.Month("it has no windows: it may be changed at any time"),
        mesh=mesh.of_objects(bookinfo()[:2], "the values"),
        not_verified=dict.fromkeys(("certificates", "mesh", "drift"), why),
    )


def hostile() -> Gathered:
    """One whose every word tries to get out of its place."""
    objects = [
        istio("Gateway", f"x/{TRAP}", servers=[{"port": {"number": 80, "protocol": TRAP}, "hosts": [TRAP]}]),
        istio("VirtualService", f"x/{TRAP}", hosts=[TRAP], gateways=[f"x/{TRAP}"], http=[{"route": [to(TRAP, TRAP)]}]),
        istio(
            "VirtualService", "x/odd", hosts="no list", http=[{"route": [None, "text", to("a\x00\u202eb\ud800")]}, 7]
        ),
    ]
    life = Life(3, 9, 21, 7, TRAP)
    return Gathered(
        Standing(TRAP, TRAP, TRAP, True, TRAP, TRAP, TRAP, 1, TRAP, 1),
        month=month.Month(TRAP, TRAP, TRAP, ((TRAP,) * 4,), ()),
        runs=(run(1, message=TRAP, reason=TRAP, deploy=TRAP, who={"user": TRAP, "machine": TRAP}, id=TRAP,
                     commit={"id": TRAP, "dirty": True}, started=TRAP, ended=None),),
        certificates=(Certificate(TRAP, TRAP, "failed", TRAP, TRAP, life), Certificate("", TRAP, TRAP, TRAP, TRAP)),
        mesh=mesh.of_objects(objects, TRAP, [TRAP]),
        drift=(Touched(TRAP, TRAP, TRAP, TRAP, TRAP, TRAP, {"a": TRAP}, TRAP),),
        notes={"runs": [TRAP], "drift": [TRAP]},
        not_verified={"certificates": TRAP, "mesh": TRAP, "windows": TRAP},
    )  # fmt: skip
