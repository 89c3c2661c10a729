"""What it takes to run a list of steps on one target: the plan that was shown, its approval, the lock, the identity.

This is the part of a run that does not depend on who drives it; `meshwright.operations` drives it from pyinfra.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from meshwright import access, admission, applied, cluster, identity, reach, selection
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, Refused, Unreachable
from meshwright.journal import Journal
from meshwright.options import Options
from meshwright.plan import Action, Plan, approval
from meshwright.rights import Right
from meshwright.run import Member, Run
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["Execution", "same"]


class Execution:
    """One run of `steps` on `target`.

    `preview` plans everything and remembers it as what was shown. `begin` is called before each step and plans it
    anew; what was shown or approved must still be what would be done.
    """

    def __init__(
        self,
        target: Target,
        env: Environment,
        steps: Sequence[Step],
        options: Options,
        journal: Journal | None = None,
        *,
        run: Run | None = None,
        deploy: str = "",
    ) -> None:
        self.target = target
        target.shared.options = options
        self.env = env
        self.steps = tuple(steps)
        self.options = options
        self.journal = journal or Journal(None)
        self._shown: dict[str, Plan] = {}
        self._run = run or Run(env.name, reason=options.reason, approved=options.approved)
        self._member = Member(target, deploy, tuple(step.name for step in steps), self._shown)
        self._done = 0
        self._may: set[Right] = set()

    def join(self) -> None:
        """Tells the run that shares its lock and record with others that it will come to `begin`."""
        self._run.join(self._member)

    def preview(self) -> list[Plan]:
        """Plans every step against live state; raises what planning raises."""
        plans = list(self.previews())
        selection.looked_at(plans, self.options.adopt, "--adopt")
        # A person may take an hour to read this.
        self.target.shared.look_again()
        return plans

    def previews(self) -> Iterator[Plan]:
        """The same, one by one."""
        recreated = ""
        for step in self.steps:
            plan = self._looked(step)
            if recreated and step.cluster and not step.check:
                # What the cluster holds today says nothing about the one that will take its place.
                plan = Plan(step.name, plan.desired, after=recreated)
            if any(change.action is Action.RECREATE for change in plan.changes) and not recreated:
                recreated = step.name
            self._shown[step.name] = plan
            yield plan

    def shown(self, step: Step) -> Plan | None:
        """The plan of `step` that `preview` gave, None before a preview."""
        return self._shown.get(step.name)

    def approve(self) -> None:
        """Compares the preview with the approval, where one was given.

        Raises Refused: the plan is another one than was approved, or the environment is protected and none was.
        """
        now = approval(self._shown.values())
        if self.options.approved is None:
            if any(not plan.empty for plan in self._shown.values()):
                self._need_approval()
        elif self.options.approved != now:
            self._alone()
            raise Refused(
                f"the plan has changed since it was approved ({self.options.approved[:15]}, now {now[:15]})",
                hint="Look at the new plan and approve that",
            )

    def _alone(self) -> None:
        """Raises Refused: another run is at work on the cluster, which says more than that a plan has changed."""
        from meshwright import lease  # most runs do not come here

        self._run.lock(self._member, cluster.lock_name(self.target, self.env))
        try:
            session = cluster.session(self.target, self.env)
            if session is not None:
                lease.free(session)
        except Refused:
            raise
        except MeshwrightError:
            return  # a cluster that cannot be asked is no reason to say less than is known

    def begin(self, step: Step) -> Plan:
        """Takes the lock (once per run), plans `step` anew and gives the plan to apply. Before the first write of a
        step to a cluster that answers, its Lease is taken; before the first write of all, the record is begun.

        Raises Refused: another run holds lock or Lease, the plan is not the one shown, a recreation that was not
        allowed, the wrong cluster, a protected environment, or a window that is closed.
        """
        start = time.monotonic()
        with self._failing(step, start):
            if not step.check:
                self._run.lock(self._member, cluster.lock_name(self.target, self.env))
            plan = self._plan(step)
            if not plan.empty and self._secured(step, plan):
                # Somebody who was not under our file lock has worked on the cluster, maybe since we looked.
                self.target.shared.look_again()
                plan = self._plan(step)
            if not plan.empty:
                self._note(step)
                self._run.writing(self._member, plan)
            elif not step.check:
                self._end_of(step, "unchanged", start)
            return plan

    def _note(self, step: Step) -> None:
        """The values that a step applies are of a release; one that leads back or away applies none."""
        if not (step.safe or step.destructive):
            from meshwright.promotion import kept  # only where something is changed

            kept.noted(self._run, self._member, self.env)

    def _plan(self, step: Step) -> Plan:
        """The plan of a step that may be applied."""
        plan = self._looked(step)
        if step.check:
            return plan
        shown = self._shown.get(step.name)
        if shown is not None and not same(shown, plan):
            self._alone()
            raise Refused(
                f"what {step.name} would do has changed since its plan was shown",
                hint="Look at the new plan: somebody or something changed the cluster or the files meanwhile",
            )
        if plan.empty:
            return plan
        if plan.after:
            raise MeshwrightError(
                f"{step.name} cannot be done before {plan.after}",
                hint=f"Put the step `{plan.after}` before `{step.name}` in the deploy, or run that deploy first",
            )
        self._admit(step, plan)
        self._in_window(step)
        self._need_approval()
        return plan

    def _looked(self, step: Step) -> Plan:
        """The plan of a step, with what an interrupted run has left to be finished."""
        plan = step.plan(self.target, self.env)
        if plan.objects is None or plan.after:
            return plan
        session = cluster.session(self.target, self.env)
        if session is None:
            return plan
        key = ("applied", self.env.name)
        state = self.target.shared.get(key, lambda: applied.states(session, self.env.name)).get(plan.step)
        return replace(plan, unfinished=True) if state and state.applying else plan

    def admit(self) -> None:
        """Refuses what `begin` would refuse of the plans shown, before anybody is asked to approve them."""
        for step in self.steps:
            shown = self._shown[step.name]
            if shown.changes:
                self._admit(step, shown)
        first = next((step for step in self.steps if not self._shown[step.name].empty), None)
        if first is not None:
            self._in_window(first)

    def _admit(self, step: Step, plan: Plan) -> None:
        if step.destructive and self.env.protected:
            raise Refused(f"{self.env.name} is protected: {step.name} is never done there")
        admission.admit(plan, self.options)
        admission.within_limits({**self._shown, step.name: plan}.values(), self.env)
        if step.cluster:
            session = cluster.session(self.target, self.env)
            if session is not None:
                identity.verify(self.target, self.env, session)
                writing = {each.name for each in self.steps if each.cluster and not each.check}
                plans = {**self._shown, step.name: plan}
                access.admit(session, self.env, [p for p in plans.values() if p.step in writing], self._may)
                reach.admit(step, self.target, self.env)

    def _in_window(self, step: Step) -> None:
        """Refuses what the environment's windows do not allow now."""
        if self.env.windows is not None:
            from meshwright.windows import running  # most environments have none

            following = self.steps[self.steps.index(step) + 1 :]
            running.admit(self._run, self.target, self.env, step, following, self._shown)

    def _need_approval(self) -> None:
        # Also where somebody pressed enter at pyinfra's own question: that is not the environment's name.
        if self.env.protected and self.options.approved is None:
            raise Refused(
                f"{self.env.name} is protected and no plan was approved",
                hint=f"Look at `meshwright plan {self.env.name}` and run `meshwright apply {self.env.name}`",
            )

    def _secured(self, step: Step, plan: Plan) -> bool:
        """Takes the Lease for a step that writes to the cluster or ends it; whether the step must be planned again."""
        ends = _ends_cluster(step, plan)
        if not (step.cluster or ends):
            return False
        try:
            return reach.secure(self._run, self._member, step, self.env)
        except Unreachable:
            if ends:
                return False  # nobody is at work in a cluster that does not answer
            raise

    def apply(self, step: Step, plan: Plan) -> float:
        """Applies what `begin` gave; the seconds it took. Raises Refused where the Lease was lost, and what the step
        raises."""
        start = time.monotonic()
        checks = len(self.journal.checks)
        with self._failing(step, start):
            if not step.check:
                self._run.held()
            self.journal.write("step", step=step.name, state="started", changes=len(plan.changes))
            kept = ""
            try:
                with self._keeping(step, plan) as kept:
                    step.apply(self.target, self.env, plan)
            finally:
                self._run.checked(self.journal.checks[checks:])
                if not step.check:
                    self.target.shared.look_again()
                    if _ends_cluster(step, plan):
                        self._run.gone(self._member)
            return self._end_of(step, "checked" if step.check else "changed", start, kept)

    def _keeping(self, step: Step, plan: Plan) -> AbstractContextManager[str]:
        """Keeps the objects of a plan while they are applied; gives the digest of their set."""
        session = cluster.session(self.target, self.env) if plan.objects is not None else None
        if session is None:
            return nullcontext("")
        return applied.keeping(session, self.env.name, plan, record=self._run.record, by=step.name)

    @contextmanager
    def _failing(self, step: Step, start: float) -> Iterator[None]:
        """At the first failure this part of the run is over: pyinfra does nothing more on a host that failed."""
        try:
            yield
        except Exception as error:
            self._run.done(self._member, step.name, "failed", time.monotonic() - start)
            self._run.leave(self._member, error)
            raise

    def _end_of(self, step: Step, state: str, start: float, kept: str = "") -> float:
        seconds = time.monotonic() - start
        self._run.done(self._member, step.name, state, seconds, kept)
        self._done += 1
        if self._done == len(self.steps):
            self._run.leave(self._member)
        return seconds

    def end(self) -> None:
        """Lets go of what the run holds, and closes what the steps shared. A run that has not done its last step, and
        has not failed, was interrupted."""
        self._run.close()
        self.target.close()


def _ends_cluster(step: Step, plan: Plan) -> bool:
    """Whether nothing is left of the cluster when this is applied."""
    return step.destructive or (not step.cluster and any(change.action is Action.RECREATE for change in plan.changes))


def same(shown: Plan, now: Plan) -> bool:
    """Whether `now` is no other plan than the one that was shown."""
    # Nothing left to do is never a surprise: somebody else, or a run before this one, did it.
    return now.empty or now.digest == shown.digest or bool(shown.after and shown.desired == now.desired)
