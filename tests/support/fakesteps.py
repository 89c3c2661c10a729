"""Steps for deploys of tests: each wants a file in `world/` of the project. They are used in this process and, under
pyinfra, in a child (tests put this folder on its PYTHONPATH)."""

from __future__ import annotations

from meshwright.environment import Environment
from meshwright.errors import Exit, MeshwrightError, Refused
from meshwright.plan import Action, Change, Field, Plan
from meshwright.project import Project
from meshwright.step import Step
from meshwright.target import Target

VALUES = """\
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {bookinfo: {}}
"""
K3D = "cluster: {kind: k3d, image: 'k3s:1'}\n"
BOTH = (
    "cluster: {kind: existing}\n"
    "clusters:\n  - {name: east, cluster: {context: e}}\n  - {name: west, cluster: {context: w}}\n"
)
EXISTING = "protected: true\ncluster: {kind: existing, context: prod}\n"
INVENTORY = "from meshwright.operations import hosts_for\n\nhosts = hosts_for(__file__)\n"
HEAD = """\
from fakesteps import checking, each, failing, make, unseen
from meshwright.deploy import run
from meshwright.plan import Action

"""


def fill(project: Project, site: str, **deploys: str) -> None:
    """Makes a project with the environments lab and prod, and the deploy `site` of the steps in its text (and more)."""
    for folder in ("inventory", "group_data", "deploys", "world"):
        (project.root / folder).mkdir(parents=True, exist_ok=True)
    (project.root / "group_data" / "all.yaml").write_text(VALUES)
    for name, text in (("lab", K3D), ("prod", EXISTING)):
        (project.root / "group_data" / f"{name}.yaml").write_text(text)
        (project.root / "inventory" / f"{name}.py").write_text(INVENTORY)
    for name, steps in {"site": site, **deploys}.items():
        (project.root / "deploys" / f"{name}.py").write_text(f"{HEAD}steps = [{steps}]\n\nrun(steps)\n")


def several(project: Project, site: str, **deploys: str) -> None:
    """The same with the environment both, which has the clusters east and west."""
    fill(project, site, **deploys)
    (project.root / "group_data" / "both.yaml").write_text(BOTH)
    (project.root / "inventory" / "both.py").write_text(INVENTORY)


def world(project: Project) -> list[str]:
    """What there is, sorted."""
    return sorted(path.name for path in (project.root / "world").iterdir())


def make(name: str, *, after: str = "", action: Action = Action.ADD, says: str = "") -> Step:
    """A step that makes world/NAME; what it will do is only known when world/AFTER is there."""

    def plan(target: Target, _env: Environment) -> Plan:
        folder = target.project.root / "world"
        if after and not (folder / after).exists():
            return Plan(name, f"desired {name}", after=after)
        if (folder / name).exists():
            return Plan(name, f"desired {name}", checked=1)
        fields = (Field("size", None, len(name)),)
        return Plan(name, f"desired {name}", (Change(action, "File", f"world/{name}", fields, says),), checked=1)

    def apply(target: Target, _env: Environment, _plan: Plan) -> None:
        target.say(f"making {name}")
        (target.project.root / "world" / name).write_text("")

    return Step(name, plan, apply, cluster=False)


def failing(name: str = "broken", exit_code: Exit = Exit.ERROR) -> Step:
    """A step whose apply fails half-way."""

    def apply(_target: Target, _env: Environment, _plan: Plan) -> None:
        raise MeshwrightError("the disk is full", hint="Make room", exit_code=exit_code)

    return Step(name, make(name).plan, apply, cluster=False)


def each(name: str, fails: str = "", refuses: str = "") -> Step:
    """A step that makes a file of its own in each cluster, world/NAME@CLUSTER. In the clusters that `fails` names it
    fails half-way; for those that `refuses` names it cannot be planned."""

    def file(env: Environment) -> str:
        return f"{name}@{env.name.rpartition('/')[2]}"

    def plan(target: Target, env: Environment) -> Plan:
        if env.name in refuses.split():
            raise Refused("the cluster is another one", hint="Look where it leads")
        if (target.project.root / "world" / file(env)).exists():
            return Plan(name, f"desired {name}", checked=1)
        change = Change(Action.ADD, "File", f"world/{file(env)}")
        return Plan(name, f"desired {name}", (change,), checked=1)

    def apply(target: Target, env: Environment, _plan: Plan) -> None:
        if env.name in fails.split():
            raise MeshwrightError("the disk is full", hint="Make room")
        (target.project.root / "world" / file(env)).write_text("")

    return Step(name, plan, apply, cluster=False)


def unseen(name: str = "unseen") -> Step:
    """A step that cannot be planned."""

    def plan(_target: Target, _env: Environment) -> Plan:
        raise Refused("the cluster is another one", hint="Look where it leads")

    return Step(name, plan, lambda _t, _e, _p: None, cluster=False)


def checking(name: str = "check") -> Step:
    """A check that fails while world/bad is there."""

    def apply(target: Target, _env: Environment, _plan: Plan) -> None:
        if (target.project.root / "world" / "bad").exists():
            raise MeshwrightError("1 of 1 checks failed: world/bad is there", hint="Remove it")

    return Step(name, lambda _t, _e: Plan(name, "looks"), apply, check=True, cluster=False)
