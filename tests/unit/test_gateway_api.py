"""The CRDs of the Gateway API: when they are wanted, which release, and that nobody else's are touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, Object, environment

from meshwright import cluster, crds, gateway_api, gateway_release, manifests, resources, tools
from meshwright.errors import BadInput, MeshwrightError, Refused, Unreachable
from meshwright.options import Options
from meshwright.plan import Plan
from meshwright.tools import fetch

HTTP = "httproutes.gateway.networking.k8s.io"
ROUTE = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: shop}\n"
SHA = "ab" * 32


def established(obj: Object) -> Object:
    return obj | {"status": {"conditions": [{"type": "Established", "status": "True"}]}}


def crd(name: str, version: str = "v1.5.0", channel: str = "standard", **metadata: Any) -> Object:
    annotations = {crds.VERSION: version, crds.CHANNEL: channel}
    whole = {"name": name, "annotations": annotations, **metadata}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": whole}


def env(version: str = "1.30.3", **crds: Any) -> Any:
    istio = {"version": version, "hub": "docker.io/istio", "gateway_api": {"sha256": SHA, **crds}}
    return environment(istio=istio, resources={"manifests": ["m.yaml"]})


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, host: FakeTarget) -> FakeSession:
    found = FakeSession(defaults=established)
    monkeypatch.setattr(cluster, "session", lambda *_: found)
    release = [crd(name) for name in gateway_release.wanted(env())]

    def fetched(_target: object, of: Any) -> dict[str, Object]:
        version = f"v{gateway_release.needed(of)}"
        return {one["metadata"]["name"]: crd(one["metadata"]["name"], version) for one in release}

    monkeypatch.setattr(gateway_release, "fetched", fetched)
    (host.project.root / "m.yaml").write_text(ROUTE)
    return found


def plan(host: FakeTarget, of: Any = None) -> Plan:
    return gateway_api.ensure.plan(host, of or env())


def apply(host: FakeTarget, of: Any = None) -> None:
    gateway_api.ensure.apply(host, of or env(), plan(host, of))


def signs(made: Plan) -> set[str]:
    return {f"{change.action.value} {change.name.partition('.')[0]}" for change in made.changes}


def put_all(session: FakeSession, **how: Any) -> None:
    for name in gateway_release.wanted(env()):
        session.put(crd(name, **how), "meshwright")


def test_they_are_installed_and_then_there_is_nothing_to_do(host: FakeTarget, session: FakeSession) -> None:
    made = plan(host)
    names = {name.partition(".")[0] for name in gateway_release.wanted(env())}
    assert signs(made) == {f"+ {name}" for name in names}
    assert made.checked == len(names) == 8
    assert "downloaded from https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.5.0/" in (
        made.changes[0].why
    )
    apply(host)
    assert plan(host).empty


def test_without_objects_of_it_nobody_is_asked(host: FakeTarget, session: FakeSession) -> None:
    (host.project.root / "m.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: httproutes}\n")
    assert plan(host).empty
    assert session.asked == []


def test_manifests_with_the_crds_themselves_are_left_to_the_resources(host: FakeTarget, session: FakeSession) -> None:
    (host.project.root / "m.yaml").write_text(f"{ROUTE}---\n{json.dumps(crd(HTTP, 'v1.0.0'))}\n")
    assert plan(host).empty


def test_manifests_are_read_once_for_it_and_for_the_resources(
    host: FakeTarget, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def read(*given: Any) -> list[manifests.Manifest]:
        asked.append(given)
        return before(*given)

    before = manifests.read
    monkeypatch.setattr(manifests, "read", read)
    session.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    for step in (gateway_api.ensure, resources.apply_all):
        step.plan(host, env())
    assert len(asked) == 1
    host.shared.look_again()
    plan(host)
    assert len(asked) == 2, "the files may have changed"


def test_what_is_in_a_kustomize_folder_is_known_after_kubectl(
    host: FakeTarget, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = host.project.root / "k"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("resources: [x.yaml]\n")
    (folder / "x.yaml").write_text(ROUTE)
    program = host.project.root / "kubectl"
    program.write_text('#!/bin/sh\n[ "$1" = kustomize ] && cat "$2/x.yaml"\n')
    program.chmod(0o755)
    where: list[str | None] = [None]
    monkeypatch.setattr(tools, "installed", lambda _target, _env, _tool: where[0])
    only = environment(istio=env().istio.model_dump(), resources={"manifests": ["k"]})
    before = plan(host, only)
    assert (before.after, before.changes) == ("tools", ())
    host.shared.look_again()
    where[0] = str(program)
    after = plan(host, only)
    assert f"+ {HTTP.partition('.')[0]}" in signs(after)
    assert after.desired == before.desired
    host.shared.look_again()
    (folder / "x.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    assert plan(host, only).empty
    assert plan(host, only).desired != before.desired


def test_without_a_cluster_it_is_known_later(
    host: FakeTarget, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "session", lambda *_: None)
    assert plan(host).after == "cluster"


def test_an_older_release_is_upgraded(host: FakeTarget, session: FakeSession) -> None:
    put_all(session, version="v1.4.1")
    made = plan(host)
    assert {change.action.value for change in made.changes} == {"~"}
    [field] = made.changes[0].fields
    assert (field.before, field.after) == ("v1.4.1", "v1.5.0")
    apply(host)
    assert plan(host).empty


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"version": "v1.6.0"}, "newer than v1.5.0: left alone"),
        ({"version": "v1.5.0", "channel": "experimental"}, "of the experimental channel, v1.5.0: left alone"),
        ({"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}, "version": "v1.2.0"}, "addon manager keeps it"),
        ({"annotations": {"meta.helm.sh/release-name": "traefik-crd"}}, "Helm (release traefik-crd) keeps it"),
    ],
)
def test_what_is_newer_or_kept_by_others_is_left_alone(
    host: FakeTarget, session: FakeSession, there: dict[str, Any], said: str
) -> None:
    put_all(session, **there)
    made = plan(host)
    assert made.empty
    assert len(made.notes) == 8
    assert all(said in note for note in made.notes)


def test_too_old_for_istio_is_said(host: FakeTarget, session: FakeSession) -> None:
    put_all(session, version="v1.2.0", labels={"addonmanager.kubernetes.io/mode": "Reconcile"})
    notes = [note for note in plan(host).notes if "tlsroutes" in note]
    assert notes[0].endswith("from 1.30 on Istio ignores its objects below v1.5.0")


def test_nothing_is_put_beside_what_others_keep(host: FakeTarget, session: FakeSession) -> None:
    session.put(crd(HTTP, "v1.2.0", labels={"addonmanager.kubernetes.io/mode": "Reconcile"}))
    made = plan(host)
    assert made.empty
    assert sum("is missing: the cluster's addon manager keeps the others" in note for note in made.notes) == 7


def test_what_a_person_has_installed_is_taken_over_only_when_asked(host: FakeTarget, session: FakeSession) -> None:
    put_all(session)
    fields = {"f:metadata": {"f:annotations": {f"f:{crds.VERSION}": {}}}}
    entry = {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": fields, "time": "2026-01-01"}
    session.put(crd(HTTP, "v1.4.0", managedFields=[entry]), "kubectl-client-side-apply")
    [change] = plan(host).changes
    assert change.blocked is not None
    assert "kubectl-client-side-apply" in change.blocked.reason
    assert f"--adopt CustomResourceDefinition/{HTTP}" in change.blocked.hint
    host.shared.options = Options(adopt=frozenset({f"CustomResourceDefinition/{HTTP}"}))
    [change] = plan(host).changes
    assert change.blocked is None


def test_never_means_that_others_bring_them(host: FakeTarget, session: FakeSession) -> None:
    with pytest.raises(BadInput, match=r"istio.gateway_api.crds .* is never"):
        plan(host, env(crds="never"))
    put_all(session, version="v1.4.0")
    assert plan(host, env(crds="never")).empty


def test_which_release_is_known_or_said(host: FakeTarget) -> None:
    assert gateway_release.needed(env("1.31-alpha.eed52ebb66ad")) == "1.6.0"
    assert gateway_release.needed(env("1.28.2")) == "1.4.0"
    assert gateway_release.needed(env("9.9.9", release="1.9.0")) == "1.9.0"
    with pytest.raises(BadInput, match=r"Istio 9.9.9 .* is not known here"):
        gateway_release.needed(env("9.9.9"))


def test_without_a_sha256_and_a_module_there_is_no_source(host: FakeTarget, session: FakeSession) -> None:
    with pytest.raises(BadInput, match="their file's sha256 is not given") as caught:
        plan(host, env(sha256=None))
    assert "istio.gateway_api.sha256" in caught.value.hint


def test_a_download_that_cannot_be_had_changes_nothing(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(url: str, *_: object) -> None:
        raise fetch.NotGiven(f"{url} gave no answer")

    monkeypatch.setattr(fetch, "download", nothing)
    with pytest.raises(Unreachable, match="cannot be downloaded"):
        gateway_release.fetched(host, env())


def test_a_file_of_another_release_is_refused(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_url: str, _sha: str, into: Any, *_: object) -> None:
        into.write_text("kind: CustomResourceDefinition\nmetadata: {name: x}\n")

    monkeypatch.setattr(fetch, "download", other)
    with pytest.raises(MeshwrightError, match=r"has no backendtlspolicies.* of v1.5.0"):
        gateway_release.fetched(host, env())


def test_what_was_fetched_is_at_hand_without_the_network(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: crd(name) for name in gateway_release.wanted(env())}
    text = "---\n".join(json.dumps(obj) + "\n" for obj in found.values())
    monkeypatch.setattr(fetch, "download", lambda _url, _sha, into, *_: into.write_text(text))
    assert gateway_release.at_hand(host, env()) is None
    assert gateway_release.fetched(host, env()) == found
    monkeypatch.delattr(fetch, "download")
    assert gateway_release.at_hand(host, env()) == found
    assert gateway_release.at_hand(host, env(release="1.4.0")) is None


def test_a_conflict_in_between_is_refused(host: FakeTarget, session: FakeSession) -> None:
    made = plan(host)
    session.put(crd(HTTP, "v1.4.0"), "kubectl")
    with pytest.raises(Refused):
        gateway_api.ensure.apply(host, env(), made)
