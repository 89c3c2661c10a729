"""Jobs as CronJobs: what they are, what their pods have, and what their accounts may do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes import UID, FakeSession, FakeTarget, environment

from meshwright import access, cluster, resources, rights, taken
from meshwright.environment import Environment, load
from meshwright.errors import BadInput, MeshwrightError, Unreachable
from meshwright.plan import Action, Plan
from meshwright.project import Project
from meshwright.schedule import cronjobs, in_cluster, inside, jobs, results
from meshwright.schedule.running import Result

IMAGE = "registry.test/meshwright:1.0"
VALUES = f"""
cluster: {{kind: k3d, image: example.test/k3s:1}}
tools: {{k3d: 5.9.0, kubectl: 1.35.4}}
istio: {{version: "1.30", hub: docker.io/istio, values: {{a: ['no', '2026-01-01', 'y', '1:30']}}}}
namespaces: {{bookinfo: {{}}}}
ingress: {{ports: [{{name: http2, port: 80, target_port: 8080, node_port: 30080, publish: auto}}]}}
schedule:
  by: kubernetes
  kubernetes: {{image: "{IMAGE}"}}
  timezone: Europe/Berlin
"""
Object = dict[str, Any]


@pytest.fixture
def made(project: Project) -> Callable[..., Environment]:
    """The environment `lab` of the project, with more values."""

    def make(more: str = "") -> Environment:
        (project.root / "group_data" / "all.yaml").write_text("{}\n")
        (project.root / "group_data" / "lab.yaml").write_text(VALUES + more)
        (project.root / "inventory" / "lab.py").write_text("hosts = []\n")
        return load(project, "lab").env

    return make


def all_of(project: Project, env: Environment, kind: str) -> dict[str, Object]:
    found = cronjobs.objects(project, env, jobs.wanted(env), UID)
    return {obj["metadata"]["name"]: obj for obj in found if obj["kind"] == kind}


def may(objects: list[Object], account: str) -> set[tuple[str, str, str]]:
    """The verbs of an account, each with resource and namespace, by all roles that are bound to it."""
    found = set()
    for obj in objects:
        if obj["kind"].endswith("Binding") and obj["subjects"][0]["name"] == account:
            space = obj["metadata"].get("namespace", "")
            role = (obj["roleRef"]["kind"], obj["roleRef"]["name"], space)
            rules = next(each["rules"] for each in objects if _called(each) == role)
            found |= {(verb, res, space) for rule in rules for verb in rule["verbs"] for res in rule["resources"]}
    return found


def _called(obj: Object) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace", "")


def test_a_cron_job_for_each_job(project: Project, made: Any) -> None:
    found = all_of(project, made(), "CronJob")
    assert sorted(found) == ["lab.certificates", "lab.drift", "lab.verification"]
    spec = found["lab.certificates"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("17 6 * * *", "Europe/Berlin", "Forbid")
    # What was missed is caught up once: within a week, and the API server starts only the last of those.
    assert spec["startingDeadlineSeconds"] == 604800
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert (container["image"], container["args"]) == (IMAGE, ["schedule", "lab", "--run", "certificates"])
    assert (pod["restartPolicy"], spec["jobTemplate"]["spec"]["backoffLimit"]) == ("Never", 0)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_what_runs_in_a_pod_asks_for_no_secret_of_the_ca(made: Any) -> None:
    words = {job.name: " ".join(job.words) for job in jobs.wanted(made())}
    assert words["certificates"] == "certs check-root lab --no-secrets"
    assert words["verification"] == "certs verify lab --no-secrets --no-files --no-canary"


def test_accounts_may_do_no_more_than_their_jobs(project: Project, made: Any) -> None:
    env = made("  transition: {days: 900, to: extend}\n  jobs: {drift: null}\n")
    objects = cronjobs.objects(project, env, jobs.wanted(env), UID)
    accounts = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "ServiceAccount"}
    assert accounts == {"schedule.lab", "schedule.lab.transition"} == set(rights.accounts(env))
    looks, changes = may(objects, "schedule.lab"), may(objects, "schedule.lab.transition")
    assert {res for _, res, _ in looks} & {"secrets", "pods/exec", "serviceaccounts/token"} <= {"pods/exec"}
    # `ratings` of the sample is asked from inside.
    assert {space for _, res, space in looks if res == "pods/exec"} == {"bookinfo"}
    written = {each for each in looks if each[0] not in ("get", "list") and "portforward" not in each[1]}
    results_ = {("create", "configmaps", rights.OWN), ("patch", "configmaps", rights.OWN)}
    assert written == {("create", "pods/exec", "bookinfo"), *results_}
    assert ("update", "secrets", "istio-system") in changes
    found = all_of(project, env, "CronJob")
    pods = {name: obj["spec"]["jobTemplate"]["spec"]["template"]["spec"] for name, obj in found.items()}
    assert {name: pod["serviceAccountName"] for name, pod in pods.items()} == {
        "lab.certificates": "schedule.lab",
        "lab.verification": "schedule.lab",
        "lab.transition": "schedule.lab.transition",
    }


def test_without_a_transition_nobody_has_its_rights(project: Project, made: Any) -> None:
    env = made()
    objects = cronjobs.objects(project, env, jobs.wanted(env), UID)
    assert not [each for account in rights.accounts(env) for each in may(objects, account) if each[1] == "secrets"]


def test_the_project_of_a_pod_means_the_cluster_around_it(project: Project, made: Any, tmp_path: Any) -> None:
    env = made()
    [config] = all_of(project, env, "ConfigMap").values()
    pod = next(iter(all_of(project, env, "CronJob").values()))["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    root = tmp_path / "pod"
    for item in pod["volumes"][0]["configMap"]["items"]:
        file = root / item["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(config["data"][item["key"]])
    assert len(pod["volumes"][0]["configMap"]["items"]) == len(config["data"])
    there = load(Project(root), "lab")
    assert there.env.cluster.model_dump(include={"kind", "context", "uid"}) == {
        "kind": "existing",
        "context": "in-cluster",
        "uid": UID,
    }
    assert there.env.istio == env.istio
    assert [port.publish for port in there.env.ingress.ports] == [None]
    assert [job.words for job in jobs.wanted(there.env)] == [job.words for job in jobs.wanted(env)]
    kubeconfig = yaml.safe_load((root / "in-cluster.kubeconfig").read_text())
    assert kubeconfig["users"][0]["user"] == {"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}
    assert there.env.cluster.kubeconfig == f"{inside.ROOT}/in-cluster.kubeconfig"


def test_only_what_jobs_need_goes_along(project: Project, made: Any) -> None:
    root = project.root
    (root / "templates").mkdir()
    (root / "templates" / "x.yaml.j2").write_text("x")
    (root / "deploys" / "site.py").write_text("steps = []\n")
    (root / "manifests").mkdir()
    (root / "manifests" / "a b.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: y}\n")
    (root / ".meshwright").mkdir()
    (root / ".meshwright" / "secret").write_text("T0P")
    more = "resources: {manifests: [manifests]}\n"
    paths = set(inside.files(project, made(more), UID, jobs.wanted(made(more))))
    assert paths >= {"templates/x.yaml.j2", "deploys/site.py", "manifests/a b.yaml", "inventory/lab.py"}
    assert not [path for path in paths if ".meshwright" in path]
    few = inside.files(project, made(more), UID, [jobs.named(made(more), "certificates")])
    assert sorted(few) == ["group_data/all.yaml", "group_data/lab.yaml", "in-cluster.kubeconfig", "inventory/lab.py"]


def test_a_secret_does_not_go_into_a_config_map(project: Project, made: Any) -> None:
    (project.root / "s.yaml").write_text("\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: y}\n")
    env = made("resources: {manifests: [s.yaml]}\n")
    with pytest.raises(BadInput, match=r"^s.yaml:3: a Secret cannot go into a ConfigMap"):
        cronjobs.objects(project, env, jobs.wanted(env), UID)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"\xff", "big.yaml.j2 is not UTF-8"), (b"x" * 1_100_000, "have 10.. KiB; a ConfigMap has")],
)
def test_what_no_config_map_can_have(project: Project, made: Any, content: bytes, sentence: str) -> None:
    (project.root / "templates").mkdir()
    (project.root / "templates" / "big.yaml.j2").write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        cronjobs.objects(project, made(), jobs.wanted(made()), UID)


def test_a_deploy_that_no_pod_can_do_is_refused(project: Project, made: Any) -> None:
    step = "from meshwright import {0}\nfrom meshwright.deploy import run\nsteps = [{1}]\nrun(steps)\n"
    (project.root / "deploys" / "site.py").write_text(step.format("tools", "tools.install"))
    (project.root / "deploys" / "mine.py").write_text(step.format("resources", "resources.apply_all"))
    env = made("  jobs: {nightly: {deploy: site, cron: 0 3 * * *}}\n")
    with pytest.raises(BadInput, match=r"lab.yaml:\d+: the deploy site of job nightly has the step tools") as caught:
        cronjobs.objects(project, env, jobs.wanted(env), UID)
    assert "cron or systemd" in caught.value.hint
    env = made("  jobs: {nightly: {deploy: mine, cron: 0 3 * * *}}\n")
    objects = cronjobs.objects(project, env, jobs.wanted(env), UID)
    assert ("patch", "*", "istio-system") in may(objects, "schedule.lab.nightly")
    assert not [each for each in may(objects, "schedule.lab.nightly") if each[1] == "secrets"]


@pytest.mark.parametrize(
    ("cron", "read"),
    [
        ("0 1 * * mon-fri", "0 1 * * mon-fri"),
        ("0 1 * * 7", "0 1 * * 0"),
        ("0 1 1 * 5-7", "0 1 1 * 0,5,6"),
        ("*/5 * * jan *", "*/5 * * jan *"),
    ],
)
def test_sunday_is_0_to_kubernetes(cron: str, read: str) -> None:
    assert jobs.cron_of_kubernetes(cron) == read


def test_names_are_not_too_long_and_never_the_same() -> None:
    long = environment("a" * 40)
    names = {cronjobs._name(long, job) for job in ("b" * 20, "b" * 21, "c")}
    assert len(names) == 3
    assert max(map(len, names)) <= 52


# Applied and taken away


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    names = ("meshwright", "istio-system", "bookinfo")
    found = FakeSession(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names))
    monkeypatch.setattr(cluster, "session", lambda _target, _env: found)
    monkeypatch.setattr(resources, "wanted", lambda *_of, **_more: [])
    monkeypatch.setattr(taken, "look", lambda *_of: None)
    return found


def do(host: FakeTarget, env: Environment, step: Any = in_cluster.ensure) -> Plan:
    plan: Plan = step.plan(host, env)
    step.apply(host, env, plan)
    assert step.plan(host, env).changes == ()
    return plan


def test_it_is_applied_once_and_pruned(host: FakeTarget, session: FakeSession, made: Any) -> None:
    plan = do(host, made())
    kinds = [change.kind for change in plan.changes]
    assert kinds.count("CronJob") == 3
    assert kinds.index("ServiceAccount") < kinds.index("CronJob")
    assert len(plan.objects or ()) == len(kinds)
    plan = do(host, made("  jobs: {drift: null}\n"))
    gone = [change.name for change in plan.changes if change.action is Action.DESTROY]
    assert gone == ["meshwright/lab.drift"]
    # Another kind of timer: all of it goes, with the list of what was kept.
    other = environment(schedule={"by": "cron"})
    plan = do(host, other)
    assert {change.action for change in plan.changes} == {Action.DESTROY}
    assert [key for key in session.objects if key[1] in ("CronJob", "ServiceAccount", "ClusterRole", "ConfigMap")] == []


def test_removal_takes_all(host: FakeTarget, session: FakeSession, made: Any) -> None:
    do(host, made())
    do(host, made(), in_cluster.remove)
    assert [key[1:] for key in session.objects if key[1] != "Namespace"] == []


def test_a_cluster_that_does_not_answer(host: FakeTarget, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_target: Any, _env: Any) -> None:
        raise Unreachable("it gives no answer")

    monkeypatch.setattr(cluster, "session", away)
    with pytest.raises(Unreachable):
        in_cluster.ensure.plan(host, made())
    # Timers of this machine do not need it.
    plan = in_cluster.ensure.plan(host, environment(schedule={"by": "cron"}))
    assert (plan.empty, plan.notes) == (
        True,
        ("not verified: whether CronJobs of it are left in the cluster: it gives no answer",),
    )
    with pytest.raises(Unreachable):
        in_cluster.remove.plan(host, environment(schedule={"by": "cron"}))


def test_without_a_cluster_it_comes_later(host: FakeTarget, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    assert in_cluster.ensure.plan(host, made()).after == "cluster"
    assert in_cluster.ensure.plan(host, environment(schedule={})).empty


def test_what_it_needs_of_the_environment_is_not_there_yet(host: FakeTarget, session: FakeSession, made: Any) -> None:
    del session.objects["v1", "Namespace", "", "bookinfo"]
    with pytest.raises(MeshwrightError, match="lab has not all of its namespaces yet") as caught:
        in_cluster.ensure.plan(host, made())
    assert "`meshwright apply lab`" in caught.value.hint


def test_results_are_kept_in_the_cluster(session: FakeSession, made: Any) -> None:
    env = made()
    for number in range(60):
        results.keep(session, env, Result("drift", f"2026-11-23T12:{number:02}:00.000Z", number % 3))
    results.keep(session, env, Result("certificates", "2026-11-23T12:00:00.000Z", 0))
    assert {name: (each.at[14:16], each.exit) for name, each in results.last(session, env).items()} == {
        "drift": ("59", 2),
        "certificates": ("00", 0),
    }
    found = session.objects["v1", "ConfigMap", "meshwright", "job.lab.drift"]
    assert len(found["data"]["results.jsonl"].splitlines()) == 50
    found["data"]["results.jsonl"] += '{"cut'
    assert results.last(session, env)["drift"].exit == 2
    allowed = access.asks(results.rights(env, "drift"))
    assert [(ask.verb, ask.name) for ask in allowed] == [("create", ""), ("patch", "job.lab.drift")]


def test_values_survive_the_way_into_the_pod(project: Project, made: Any) -> None:
    env = made()
    text = inside.files(project, env, UID, jobs.wanted(env))["group_data/lab.yaml"]
    assert json.loads(text)["istio"]["values"]["a"] == ["no", "2026-01-01", "y", "1:30"]
