"""The plans of a deploy on all hosts of an environment, as `plan` and `apply` need them."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshwright import cluster
from meshwright import deploy as deploys
from meshwright.cli.common import targets
from meshwright.cli.stock import dry_run
from meshwright.environment import Environment, Loaded
from meshwright.environment.hosts import inventory_names
from meshwright.errors import BadInput, Forbidden, MeshwrightError, Refused
from meshwright.execution import Execution
from meshwright.options import Options
from meshwright.plan import Plan, approval
from meshwright.project import Project
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["Planned", "planned"]


@dataclass
class Planned:
    """Plans of all hosts, one after the other; `approved` has the digest of each host's, by its name in pyinfra's
    inventory, where they are not pyinfra's. `checks` is whether a step only looks, `cluster` the uid of the cluster
    that the deploy talks to, where that was asked for."""

    plans: list[Plan] = field(default_factory=list)
    approved: dict[str, str] = field(default_factory=dict)
    refusals: list[MeshwrightError] = field(default_factory=list)
    checks: bool = False
    cluster: str | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return any(not plan.empty for plan in self.plans)


def planned(
    project: Project,
    loaded: Loaded,
    deploy: str,
    options: Options,
    *,
    quiet: bool,
    admit: bool,
    saving: bool = False,
    identify: bool = False,
) -> Planned:
    """Plans with the core, without pyinfra; deploys with stock operations through pyinfra's own dry run.

    With `admit`, what an apply would be refused for is in `refusals`. With `saving`, the plans are compared with a file
    or go into one. Raises BadInput for that where parts of the plan are pyinfra's own. With `identify` the cluster is
    asked who it is.
    """
    if deploy.replace("-", "_") in deploys.STOCK:
        if saving:
            raise BadInput(
                f"a plan of {deploy} cannot be saved: parts of it are pyinfra's own, and of those nobody knows more "
                "than that they would change something",
                hint=f"Look at `meshwright plan {loaded.env.name} {deploy}` and apply it",
            )
        return Planned(dry_run(project, loaded.env.name, deploy))
    steps = deploys.load(project, deploy)
    made = Planned(checks=any(step.check for step in steps))
    with targets(project, loaded, quiet=quiet) as hosts:
        for name, target in zip(inventory_names(loaded.env.name, loaded.env.hosts), hosts, strict=True):
            execution = Execution(target, loaded.env, steps, options)
            plans = execution.preview()
            made.plans += plans
            made.approved[name] = approval(plans)
            if (saving or identify) and made.cluster is None:
                made.cluster = _uid(target, loaded.env, steps)
            if admit:
                try:
                    execution.admit()
                except (Refused, Forbidden) as refused:
                    made.refusals.append(refused)
    return made


def _uid(target: Target, env: Environment, steps: list[Step]) -> str | None:
    if not any(step.cluster for step in steps):
        return None
    session = cluster.session(target, env)
    return session.identity().uid if session else None
