"""A change of the root with proxies that learn new roots only with their next certificate: what each mode plans, and
the one that restarts what keeps them, under load (#6)."""

from __future__ import annotations

import pytest
from load import fresh_handshakes, running
from rooted import NAMESPACE, bookinfo_hosts, certs, in_order, page_load
from slowness import SLOW, generations, slowed

from meshwright.certs.phase import STANDBY
from meshwright.certs.workloads import RESTARTED

TO = ("certs", "transition", "lab", "--to", "new-self-signed")


@pytest.fixture(scope="module")
def slow(lab):
    with slowed(lab):
        in_order(lab)
        yield [f"Deployment {lab.env.bookinfo.namespace}/{name}" for name in SLOW]


def planned(lab, *words):
    """The plan of a change, by KIND NAME, and its notes."""
    [plan] = lab.driver.meshwright(*TO, "--plan", "--json", *words).document["steps"]
    return {f"{each['kind']} {each['name']}": each for each in plan["changes"]}, " ".join(plan["notes"])


def test_what_each_mode_plans(lab, slow):
    live, _ = planned(lab)
    reasons = [each["blocked"]["reason"] for each in live.values() if "blocked" in each]
    assert len(reasons) == 1
    assert "sets PROXY_CONFIG_XDS_AGENT itself" in reasons[0]
    patient, notes = planned(lab, "--mode", "patient")
    assert not set(slow) & set(patient)
    assert "hours" in notes.partition("in mode patient it takes about: ")[2].partition(";")[0]
    restart, _ = planned(lab, "--mode", "restart")
    assert [name for name in restart if name.startswith("Deployment")] == [f"Deployment {NAMESPACE}/istiod", *slow]
    assert "blocked" not in str(restart)


def test_only_those_that_need_it_are_restarted_and_no_request_is_lost(lab, slow):
    before = generations(lab)
    with fresh_handshakes(lab.session, NAMESPACE, bookinfo_hosts(lab)), running(page_load(lab)) as load:
        done = lab.driver.meshwright(*TO, "--mode", "restart", "--yes", "--json", timeout=1200)
    assert done.code == 0, done.err
    assert load.lost() == []
    assert len(load.answers) > 100
    after = generations(lab)
    restarted = {f"Deployment {name}": after[name] - before[name] for name in after if after[name] != before[name]}
    assert restarted == {**dict.fromkeys(slow, 3), f"Deployment {NAMESPACE}/istiod": 3}

    code, document = certs(lab, "status")
    assert (code, document["phase"], document["sure"]) == (0, "new_alone", True)
    version = lab.session.get("v1", "Secret", "istio-ca-secret", NAMESPACE)["metadata"]["resourceVersion"]
    [name, _] = SLOW
    found = lab.session.get("apps/v1", "Deployment", name, lab.env.bookinfo.namespace)
    assert found["spec"]["template"]["metadata"]["annotations"][RESTARTED] == f"P3-{version}"

    # It is over: run again it restarts nothing, and the way back is given up.
    assert lab.driver.meshwright("certs", "transition", "lab", "--yes").code == 0
    assert lab.driver.meshwright("certs", "transition", "lab", "--to", "forget", "--yes").code == 0
    assert generations(lab) == after
    assert lab.session.get("v1", "Secret", STANDBY, NAMESPACE) is None
