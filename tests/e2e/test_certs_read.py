"""Looking at the certificates of a real mesh: on its own CA, with both CA Secrets, on a plugged-in CA with
intermediates, with laggards; and moving it from one root to another, killed on the way, and back (#6).

Beside it stands what root-transition.sh of 2019 would have said, by its algorithm.
"""

from __future__ import annotations

import base64
import datetime as dt
import random
import time

import pki
import pytest
from killing import begin_command, kill_after_words, said
from leaks import Needles
from load import fresh_handshakes, running
from rooted import (
    NAMESPACE,
    bad,
    bookinfo_hosts,
    certs,
    folder_of,
    in_order,
    looked,
    nudge,
    page_load,
    restart_istiod,
    until,
)

from meshwright import envoys
from meshwright.certs import trust
from meshwright.certs.certificate import bundle
from meshwright.certs.phase import STANDBY

ADMISSION = "admissionregistration.k8s.io/v1"


def scripts_check_root(lab):
    """root-transition.sh check-root: the end of the first certificate in istio-ca-secret, whatever signs the mesh."""
    secret = lab.session.get("v1", "Secret", "istio-ca-secret", NAMESPACE)
    return bundle(base64.b64decode(secret["data"]["ca-cert.pem"]))[0].not_after


def scripts_verify_says_all_match(lab):
    """root-transition.sh verify-certs: the Secrets of workloads that differ from istio-ca-secret. Since certificates go
    over SDS nobody writes such Secrets, so there is nothing that could differ."""
    root = lab.session.get("v1", "Secret", "istio-ca-secret", NAMESPACE)["data"]["ca-cert.pem"]
    workloads = [each for each in lab.session.list("v1", "Secret") if each["type"] == "istio.io/key-and-cert"]
    assert workloads == []
    return all(each["data"]["root-cert.pem"] == root for each in workloads)


# On its own CA


def test_a_mesh_on_its_own_ca(lab):
    code, document = certs(lab, "check-root")
    assert code == 0, bad(document)
    assert document["authority"]["kind"] == "self_signed"
    roles = [each["role"] for each in document["certificates"]]
    assert roles == ["root", "istiod", "workload"]
    assert document["certificates"][0]["days_left"] > 3600
    assert scripts_check_root(lab).isoformat() == document["certificates"][0]["not_after"]


def test_everything_is_looked_at(lab):
    document = in_order(lab)
    proxies = [str(each) for each in envoys.proxies(lab.session)]
    assert len(proxies) >= 8
    for kind in ("proxy", "file"):
        assert [each["name"] for each in document["places"] if each["kind"] == kind] == proxies
    there = [each["metadata"] for each in lab.session.list("v1", "Namespace")]
    spaces = {each["name"] for each in there if "deletionTimestamp" not in each}
    spaces -= {"kube-public", "kube-node-lease", "local-path-storage"}
    assert {each["name"].split("/")[0] for each in document["places"] if each["kind"] == "ConfigMap"} >= spaces
    kinds = [each["kind"] for each in document["places"]]
    assert (kinds.count("istiod"), kinds.count("certificate"), kinds.count("webhook")) == (2, 1, 4)


def test_versions_come_from_what_runs(lab):
    code, document = certs(lab, "check-version")
    assert code == 0, bad(document)
    found = {(part["kind"], part["native_sidecar"], part["source"]) for part in document["parts"]}
    assert found == {
        ("istiod", False, "/version"),
        ("sidecar", True, "node metadata"),
        ("gateway", False, "node metadata"),
    }
    assert {part["version"].startswith(lab.env.istio.version) for part in document["parts"]} == {True}
    assert {part["takes_roots_live"] for part in document["parts"] if part["kind"] != "istiod"} == {True}


def test_live_shows_every_envoy(lab):
    code, document = certs(lab, "live")
    assert (code, document["summary"]) == (0, {"checked": 8, "not_verified": 0})
    for proxy in document["proxies"]:
        assert [each["use"] for each in proxy["certificates"]] == ["presents", "trusts"]


def test_at_rest(lab):
    code, document = certs(lab, "status")
    assert (code, document["phase"], document["stable"]) == (0, "rest", True)


@pytest.mark.parametrize("name", ["check_root", "check_version", "verify", "live", "status"])
def test_each_is_a_deploy(lab, name):
    done = lab.driver.pyinfra("-y", "inventory/lab.py", f"deploys/certs_{name}.py")
    assert done.code == 0, done.out + done.err


# Red


def test_a_bundle_that_nobody_keeps_up_to_date(lab):
    """A webhook of somebody's own that calls istiod, and a copy in a namespace that istiod leaves alone."""
    stale = pki.make("stale")
    service = {"namespace": NAMESPACE, "name": "istiod", "path": "/validate"}
    hook = {
        "name": "stale.example.com",
        "clientConfig": {"service": service, "caBundle": base64.b64encode(stale.pem.encode()).decode()},
        "namespaceSelector": {"matchLabels": {"nobody": "here"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
    }
    kind = "ValidatingWebhookConfiguration"
    metadata = {"name": "stale"}
    config_map = {"name": "istio-ca-root-cert", "namespace": "kube-public"}
    lab.session.create({"apiVersion": ADMISSION, "kind": kind, "metadata": metadata, "webhooks": [hook]})
    lab.session.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": config_map, "data": {"root-cert.pem": stale.pem}}
    )
    try:
        code, document = certs(lab, "verify")
        assert code == 1
        assert set(bad(document)) == {f"webhook {kind} stale", "ConfigMap kube-public/istio-ca-root-cert"}
        assert "still trusts O=stale" in bad(document)[f"webhook {kind} stale"]
        assert scripts_verify_says_all_match(lab)
        done = lab.driver.pyinfra("-y", "inventory/lab.py", "deploys/certs_verify.py")
        assert (done.code, "certs-verify does not hold" in done.out + done.err) == (1, True)
    finally:
        lab.session.delete(ADMISSION, kind, "stale")
        lab.session.delete("v1", "ConfigMap", "istio-ca-root-cert", "kube-public")
    assert certs(lab, "verify")[0] == 0


def test_no_proxies_at_all_is_a_failure(lab, monkeypatch):
    monkeypatch.setattr(envoys, "proxy_of", lambda _pod: None)
    report = trust.verify(lab.session, lab.env, dt.datetime.now(dt.UTC))
    assert [each.detail for each in report.laggards] == ["0 proxies were checked, so nothing is known to hold"]
    assert not report.ok
    assert scripts_verify_says_all_match(lab)


def test_a_credential_near_its_end_and_one_that_is_not_there(lab):
    made = pki.make("shop.example.com", ca=False, names=("shop.example.com",), days=(-80, 5))
    secret = pki.secret("shop", {"tls.crt": made.pem, "tls.key": made.key_pem}, kind="kubernetes.io/tls")
    servers = [
        {
            "port": {"number": 443, "name": name, "protocol": "HTTPS"},
            "hosts": [f"{name}.example.com"],
            "tls": {"mode": "SIMPLE", "credentialName": name},
        }
        for name in ("shop", "nowhere")
    ]
    spec = {"selector": {"istio": "ingressgateway"}, "servers": servers}
    metadata = {"name": "shop", "namespace": "default"}
    api = "networking.istio.io/v1"
    lab.session.create(secret)
    lab.session.create({"apiVersion": api, "kind": "Gateway", "metadata": metadata, "spec": spec})
    try:
        code, document = certs(lab, "check-root")
        assert code == 1
        [row] = [each for each in document["certificates"] if each["role"] == "gateway"]
        assert (row["state"], row["days_left"]) == ("failed", 4)
        assert row["name"] == "Secret istio-system/shop of Gateway default/shop"
        found = {each["subject"]: each["detail"] for each in document["findings"] if each["state"] == "failed"}
        assert found == {"credential istio-system/nowhere": "there is no such Secret; Gateway default/shop names it"}
        assert made.key_pem.splitlines()[1] not in str(document)
    finally:
        lab.session.delete(api, "Gateway", "shop", "default")
        lab.session.delete("v1", "Secret", "shop", NAMESPACE)


def test_thresholds_and_metrics(lab, tmp_path):
    values = lab.driver.root / "group_data" / "lab.yaml"
    before = values.read_text()
    path = tmp_path / "certs.prom"
    try:
        values.write_text(before + f"\ncerts: {{root_days_warn: 3650, root_days_fail: 3650, textfile: '{path}'}}\n")
        code, document = certs(lab, "check-root", "--textfile", str(tmp_path / "other.prom"))
        assert code == 1
        [row] = [each for each in document["certificates"] if each["state"] != "ok"]
        assert (row["role"], "fewer than 3650" in row["detail"]) == ("root", True)
        done = lab.driver.pyinfra("-y", "inventory/lab.py", "deploys/certs_check_root.py")
        assert done.code == 1
        for written in (path, tmp_path / "other.prom"):
            assert 'meshwright_certs_check_ok{environment="lab"} 0' in written.read_text()
    finally:
        values.write_text(before)
    assert certs(lab, "check-root")[0] == 0


# On a plugged-in CA


@pytest.fixture(scope="module")
def plugged(lab):
    """A plugged-in CA with an intermediate, beside istio-ca-secret. Gives the root, the intermediate, and what was said
    before istiod was restarted, and before the proxies had followed. The mesh is back on its own CA afterwards."""
    root = pki.make("Plugged Root")
    middle = pki.make("Plugged Int", root, days=(-1, 400))
    lab.session.create(pki.plugged(middle, root))
    try:
        said = {"before": certs(lab, "check-root"), "script": scripts_check_root(lab)}
        restart_istiod(lab)
        said["red"] = certs(lab, "verify", "--no-files")
        in_order(lab)
        yield root, middle, said
    finally:
        lab.session.delete("v1", "Secret", "cacerts", NAMESPACE)
        lab.session.delete("v1", "Secret", STANDBY, NAMESPACE)
        restart_istiod(lab)
        in_order(lab)


def test_both_secrets_are_there_and_istiod_has_the_older(lab, plugged):
    root, _, said = plugged
    code, document = said["before"]
    assert code == 1
    assert document["authority"]["secret"] == "istio-system/cacerts"
    assert document["authority"]["not_used"] == ["istio-system/istio-ca-secret"]
    [why] = [each["detail"] for each in document["findings"] if each["state"] == "failed"]
    assert "a certificate of Secret istio-system/istio-ca-secret, not of istio-system/cacerts" in why
    # What the script looked at all the time is not what signs now.
    assert said["script"] != root.certificate.not_after


def test_a_change_in_one_step_is_red(lab, plugged):
    *_, said = plugged
    code, document = said["red"]
    assert code == 1
    lagging = {subject: why for subject, why in bad(document).items() if subject.startswith("proxy ")}
    assert lagging
    assert all("does not trust O=Plugged Root" in why for why in lagging.values())
    assert scripts_verify_says_all_match(lab)


def test_a_plugged_in_ca_with_an_intermediate(lab, plugged):
    root, middle, _ = plugged
    code, document = certs(lab, "check-root")
    assert code == 0, bad(document)
    assert document["authority"]["kind"] == "plugged"
    found = {each["role"]: each["sha256"] for each in document["certificates"]}
    assert (found["root"], found["intermediate"]) == (root.certificate.sha256, middle.certificate.sha256)
    document = in_order(lab)
    assert {each["sha256"] for each in document["expected"]["roots"]} == {root.certificate.sha256}
    assert middle.key_pem.splitlines()[1] not in str(document)


@pytest.fixture
def laggard(lab, scratch):
    """A pod whose agent learns new roots only with its next certificate."""
    lab.session.patch("v1", "Namespace", scratch, body={"metadata": {"labels": {"istio-injection": "enabled"}}})
    [ratings, *_] = lab.session.list("v1", "Pod", lab.env.bookinfo.namespace, labels="app=ratings")
    [image] = [c["image"] for c in ratings["spec"]["containers"] if c["name"] == "ratings"]
    config = 'proxyMetadata:\n  PROXY_CONFIG_XDS_AGENT: "false"\n'
    metadata = {"name": "slow", "namespace": scratch, "annotations": {"proxy.istio.io/config": config}}
    container = {"name": "app", "image": image, "command": ["sleep", "600"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}

    def create():
        lab.session.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    create()
    until(lambda: all(each.ready for each in envoys.proxies(lab.session) if each.pod == "slow"), 90)
    return f"{scratch}/slow"


def test_one_that_does_not_follow_a_new_root(lab, plugged, laggard):
    """The second root is added while everything runs: everybody follows but one, which is named, with what to do."""
    root, *_ = plugged
    in_order(lab)
    new = pki.make("Next Root")
    secret = lab.session.get("v1", "Secret", "cacerts", NAMESPACE)
    secret["data"]["root-cert.pem"] = pki.b64(root.pem + new.pem)
    lab.session.replace(secret)
    until(lambda: follows(lab, laggard), 120)
    code, document = certs(lab, "verify")
    assert code == 1
    assert {each["subject"] for each in document["findings"] if each["state"] == "failed"} == {f"proxy {laggard}"}
    assert "does not trust O=Next Root" in bad(document)[f"proxy {laggard}"]
    [hint] = [each["hint"] for each in document["findings"] if each["subject"] == f"proxy {laggard}"]
    assert hint.startswith("Nothing keeps this pod: make it anew, or wait for its next certificate")

    code, document = certs(lab, "status")
    assert (code, document["phase"], document["stable"], document["sure"]) == (1, "both_sign_old", False, False)
    assert (document["old_root"], document["new_root"]) == (root.certificate.sha256, new.certificate.sha256)
    assert [each["subject"] for each in document["waiting"]] == [f"proxy {laggard}"]

    lab.session.delete("v1", "Pod", "slow", laggard.partition("/")[0])
    until(lambda: not [each for each in envoys.proxies(lab.session) if each.pod == "slow"])
    code, document = certs(lab, "status")
    assert (code, document["phase"], document["stable"]) == (0, "both_sign_old", True), document["waiting"]

    secret = lab.session.get("v1", "Secret", "cacerts", NAMESPACE)
    secret["data"]["root-cert.pem"] = pki.b64(root.pem)
    lab.session.replace(secret)
    in_order(lab)
    code, document = certs(lab, "status")
    assert (code, document["phase"]) == (0, "rest")


def follows(lab, laggard):
    """Whether everything but the laggard has followed."""
    nudge(lab)
    lagging, _ = looked(lab)
    return lagging == {f"proxy {laggard}"}


# Changing the root


@pytest.fixture
def load(lab, plugged):
    """Requests through the gateway, a new mTLS connection for each hop of each, for as long as the test runs."""
    with (
        fresh_handshakes(lab.session, NAMESPACE, bookinfo_hosts(lab)),
        running(page_load(lab, clients=4)) as load,
    ):
        in_order(lab)
        yield load


SEED, REQUESTS, MEANWHILE = 6, 5000, 1000
# The phase that the Secret of each step is written for, and the one before.
STANDS = {
    "P1": {"rest", "both_sign_old"},
    "P2": {"both_sign_old", "both_sign_new"},
    "P3": {"both_sign_new", "new_alone"},
}


def test_a_change_killed_in_each_phase_and_back_without_losing_a_request(lab, plugged, load, capsys):
    """From one plugged-in CA to another while everything runs, killed in each phase and gone on with; and all the way
    back. Each phase is read back from the cluster, each gate is waited for, nothing is restarted, nobody notices."""
    other = pki.make("Other Root")
    below = pki.make("Other Int", other, days=(-1, 400))
    own = lab.session.get("v1", "Secret", "istio-ca-secret", NAMESPACE)["data"]["ca-key.pem"]
    keys = Needles(own=base64.b64decode(own).decode(), old=plugged[1].key_pem, new=below.key_pem)
    to = folder_of(lab, below, other, "other ca")
    chance, journals, hits = random.Random(SEED), [], []
    words = ["certs", "transition", "lab", "--yes", "--to", to]
    for phase, stands in STANDS.items():
        process, path = begin_command(lab.driver, "lab", *words)
        hits.append(kill_after_words(process, path, f"for {phase}", chance.uniform(0, 2)))
        assert hits[-1], f"it had ended before {phase}"
        journals.append(path)
        code, document = stood(lab)
        assert (document["phase"] in stands, document["sure"], code in (0, 1)) == (True, True, True), document
        words = ["certs", "transition", "lab", "--yes"]
    done = lab.driver.meshwright(*words, "--json")
    ended = time.time()
    assert done.code == 0, done.err
    told = [each for path in journals for each in said(path)]
    # A kill comes before its phase's gate: the run after it sees that gate, and writes what comes next. One that came
    # before the write leaves the gate before it to be seen again.
    assert list(dict.fromkeys(phases(sentence for _, sentence in told))) == ["P0", "P1", "P2"]
    # After the last phase nothing comes; where everything has followed by then, there is nothing to wait for.
    assert phases(done.err.splitlines())[-1:] in (["P3"], [])
    code, document = stood(lab)
    assert (code, document["phase"], document["sure"]) == (0, "new_alone", True)
    assert document["new_root"] == other.certificate.sha256
    first = min(at for at, sentence in told if sentence.startswith("writing Secret"))
    meanwhile = load.between(first, ended)

    # Run again it has nothing to do, and another change does not begin beside it.
    assert lab.driver.meshwright("certs", "transition", "lab", "--to", to, "--yes").code == 0
    assert lab.driver.meshwright("certs", "transition", "lab", "--to", "extend", "--yes").code == 3
    back = lab.driver.meshwright("certs", "rollback", "lab", "--yes", "--json")
    assert back.code == 0, back.err
    assert phases(back.err.splitlines()) == ["P3", "P2", "P1", "P0"]
    code, document = stood(lab)
    assert (code, document["phase"]) == (0, "rest")
    assert lab.session.get("v1", "Secret", STANDBY, NAMESPACE) is None
    until(lambda: load.between()[""] >= REQUESTS, 600)
    with capsys.disabled():
        print("".join(f"\nkilled at: {hit}" for hit in hits))
        print(f"{meanwhile['']} requests from the first write to the last gate, in {ended - first:.0f} s", end=" ")
    assert load.lost() == []
    assert meanwhile[""] >= MEANWHILE
    text = done.out + done.err + back.out + back.err + " ".join(sentence for _, sentence in told)
    assert "restarting" not in text
    assert keys.within(text.encode()) == []
    assert keys.below(lab.driver.root / ".meshwright" / "lab") == []


def stood(lab):
    """Where the mesh stands. The API server of a busy machine may give no answer at first."""
    deadline = time.monotonic() + 120
    while True:
        code, document = certs(lab, "status")
        if "phase" in document:
            return code, document
        assert time.monotonic() < deadline, document


def phases(sentences):
    """The phases whose gates held, in order."""
    return [line.split(":")[0].strip() for line in sentences if "seen twice after" in line]
