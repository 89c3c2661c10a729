from __future__ import annotations

import pytest

from meshwright.errors import BadInput
from meshwright.logs import choice
from meshwright.logs.line import Access, Line


def pod(namespace, name, *, app="", owner=None, labels=None, proxy=True):
    containers = [{"name": "app"}, *([{"name": "istio-proxy"}] if proxy else [])]
    metadata = {"namespace": namespace, "name": name, "labels": {**({"app": app} if app else {}), **(labels or {})}}
    if owner:
        metadata["ownerReferences"] = [{"controller": True, "kind": owner[0], "name": owner[1]}]
    return {"metadata": metadata, "spec": {"containers": containers}}


REVIEWS = pod(
    "bookinfo", "reviews-v1-5c4d-x2", app="reviews", owner=("ReplicaSet", "reviews-v1-5c4d"),
    labels={"pod-template-hash": "5c4d"},
)  # fmt: skip
DB = pod("bookinfo", "db-0", app="db", owner=("StatefulSet", "db"))
OTHER = pod("shop", "reviews-0", app="reviews")
BARE = pod("shop", "plain", proxy=False)
ALL = [REVIEWS, DB, OTHER, BARE]


@pytest.mark.parametrize(("wanted", "namespace", "found"), [
    ("", "", [REVIEWS, DB, OTHER]),
    ("", "shop", [OTHER]),
    ("reviews", "", [REVIEWS, OTHER]),
    ("bookinfo/reviews", "", [REVIEWS]),
    ("reviews-v1", "", [REVIEWS]),
    ("reviews-v1-5c4d-x2", "", [REVIEWS]),
    ("db", "bookinfo", [DB]),
    ("bookinfo/", "", [REVIEWS, DB]),
])  # fmt: skip
def test_pods_by_the_names_that_people_use(wanted, namespace, found):
    assert choice.of_workload(ALL, wanted, namespace) == found


def test_a_name_that_nobody_has_gets_the_nearest():
    with pytest.raises(BadInput, match="'reviwes-v1'") as raised:
        choice.of_workload(ALL, "reviwes-v1")
    assert raised.value.hint.startswith("Did you mean reviews-v1? ")
    assert "bookinfo/db" in raised.value.hint
    with pytest.raises(BadInput, match="namespace nowhere"):
        choice.of_workload(ALL, "", "nowhere")


@pytest.mark.parametrize(("text", "ms"), [("500ms", 500), ("2s", 2000), ("1.5m", 90_000), ("1h", 3_600_000)])
def test_durations(text, ms):
    assert choice.milliseconds(text) == ms


@pytest.mark.parametrize("text", ["", "5", "soon", "-1s", "1 s", "1e3s"])
def test_a_duration_needs_its_unit(text):
    with pytest.raises(BadInput, match="is not a duration"):
        choice.milliseconds(text)


def of(**said):
    return Line(0, "a/b", "", Access(**{"method": "GET", "code": 200, "path": "/", **said}))


@pytest.mark.parametrize(("only", "line", "taken"), [
    (choice.Filter(), of(), True),
    (choice.Filter(), Line(0, "a/b", "agent", None), True),
    (choice.Filter(errors=True), Line(0, "a/b", "agent", None), False),
    (choice.Filter(errors=True), of(), False),
    (choice.Filter(errors=True), of(code=503), True),
    (choice.Filter(path="/api"), of(path="/api/v1"), True),
    (choice.Filter(path="/api"), of(path="/"), False),
    (choice.Filter(slow=500), of(ms=499), False),
    (choice.Filter(slow=500), of(ms=500), True),
    (choice.Filter(slow=500), of(), False),
    (choice.Filter(errors=True, slow=500), of(code=503, ms=1), False),
])  # fmt: skip
def test_each_filter_narrows(only, line, taken):
    assert only.takes(line) is taken
