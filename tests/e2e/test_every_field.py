"""Every field of Istio's own kinds survives plan, apply and plan (#4).

Objects are made from the schemas of the CRDs that the cluster has; the API server's dry run, with all its CEL rules,
says which are valid. They carry the label of a revision that nobody runs: no istiod acts on them, and none judges more
than their form. (That its webhook is asked, and heard, test_resources and test_engine_faults show.)
"""

from __future__ import annotations

import os

import pytest
import schemas
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from owning import Owned, lines

from meshwright.kube import ApiError

REVISION = {"istio.io/rev": "nobody-runs-this"}
ROUNDS = 6
EACH = 2
TOGETHER = 8

# KIND: fields that no accepted object can have, each with the reason.
NOT_POSSIBLE: dict[str, dict[str, str]] = {}


@pytest.fixture(scope="module")
def namespace(lab):
    name = f"fields-{os.getpid()}"
    lab.session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    lab.session.delete("v1", "Namespace", name)


def kinds(session):
    """Group, kind, versions (the one that is stored first) with the schema of their spec, of Istio's CRDs."""
    found = []
    for crd in session.list("apiextensions.k8s.io/v1", "CustomResourceDefinition"):
        spec = crd["spec"]
        if spec["group"].endswith(".istio.io"):
            served = sorted((v for v in spec["versions"] if v["served"]), key=lambda v: not v["storage"])
            versions = {v["name"]: v["schema"]["openAPIV3Schema"]["properties"]["spec"] for v in served}
            found.append((spec["group"], spec["names"]["kind"], versions))
    return sorted(found)


def befitting(kind, spec):
    """The spec with what CEL rules want beside what is in it."""
    if kind == "EnvoyFilter":
        for match in (patch.get("match") or {} for patch in spec.get("configPatches") or ()):
            if "waypoint" in match:
                match["context"] = "WAYPOINT"
    elif kind == "ServiceEntry" and "endpoints" in spec:
        spec["resolution"] = "STATIC"
        spec.pop("workloadSelector", None)
    elif kind == "PeerAuthentication" and "portLevelMtls" in spec:
        spec["selector"] = {"matchLabels": {"app": "a"}}
    return spec


def candidates(kind, schema, paths, number):
    """Specs that set these fields: EACH for each of them, the same ones in every run; others for another `number`."""
    made = []

    @seed(number)
    @settings(
        max_examples=EACH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def propose(data):
        made.extend(befitting(kind, data.draw(schemas.values(schema, path))) for path in some)

    for first in range(0, len(paths), TOGETHER):
        some = paths[first : first + TOGETHER]
        propose()
    return made


def accepted(session, objects):
    """Those that the API server would take."""

    def judge(obj):
        try:
            session.apply(obj, dry_run=True)
        except ApiError as error:
            # Two entries of one key in a keyed list are an internal error to it.
            if error.status not in (400, 422) and "typed patch object" not in error.text:
                raise
            return None
        return obj

    return [obj for obj in session.map(judge, objects) if obj is not None]


def made(namespace, api_version, kind, number, spec):
    metadata = {"name": f"{kind.lower()}-{api_version.rpartition('/')[2]}-{number}", "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": {**metadata, "labels": REVISION}, "spec": spec}


def covering(session, namespace, group, kind, version, schema):
    """Accepted objects that set every field between them, and the fields that none could be made for."""
    left, chosen, number = set(schemas.leaves(schema)), [], 0
    for turn in range(ROUNDS):
        tries = []
        for spec in candidates(kind, schema, sorted(left), turn):
            tries.append(made(namespace, f"{group}/{version}", kind, number, spec))
            number += 1
        found = [(set(schemas.covered(schema, obj["spec"])) & left, obj) for obj in accepted(session, tries)]
        for new, obj in sorted(found, key=lambda each: -len(each[0])):  # those that set many first: fewer will do
            if new & left:
                chosen.append(obj)
                left -= new
        if not left:
            break
    return chosen, left


def test_every_field_of_every_kind_survives_plan_apply_plan(lab, namespace, record_property):
    owned = Owned(lab, "fields")
    # There is no istioctl of this version here: to it such objects make no sense, and it says so for a minute.
    owned.base = owned.base.replace("version: 1.31-alpha.eed52ebb66ad", "version: 1.30.3")
    owned.allow()
    session = owned.session
    objects, without, fields = [], {}, 0
    for group, kind, versions in kinds(session):
        stored, *others = versions
        chosen, left = covering(session, namespace, group, kind, stored, versions[stored])
        fields += len(set(schemas.leaves(versions[stored])))
        without[kind] = {".".join(path) for path in left}
        objects += chosen
        for version in others:
            # The same specs in the other versions that the API server serves.
            again = [made(namespace, f"{group}/{version}", kind, n, obj["spec"]) for n, obj in enumerate(chosen)]
            assert accepted(session, again) == again
            assert set(schemas.leaves(versions[version])) == set(schemas.leaves(versions[stored])), f"{kind} {version}"
            objects += again
            fields += len(set(schemas.leaves(versions[version])))
    record_property("fields", fields)
    record_property("objects", len(objects))
    print(f"{fields} fields in {len(objects)} objects")
    assert fields > 1500
    assert {kind: left for kind, left in without.items() if left} == {
        kind: set(known) for kind, known in NOT_POSSIBLE.items()
    }

    owned.write(*objects)
    try:
        plan = owned.plan()
        assert lines(plan)[-1] == f"Plan: {len(objects)} to add, 0 to change, 0 to destroy.", plan.err
        owned.applied()
        live = session.map(
            lambda obj: session.get(obj["apiVersion"], obj["kind"], obj["metadata"]["name"], namespace), objects
        )
        for obj, now in zip(objects, live, strict=True):
            name = f"{obj['kind']} {obj['metadata']['name']}"
            assert schemas.canonical(now["spec"]) == schemas.canonical(obj["spec"]), name
    finally:
        owned.clean()
