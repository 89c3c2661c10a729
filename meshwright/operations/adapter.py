"""Steps as pyinfra operations.

An operation's body runs up to its first `yield` to find out whether it would change anything, and again, from the top,
to do it; with `-y` only the second happens. A body that raises while executing prints a traceback, so it never does:
it yields a function that logs one sentence and returns False, which pyinfra counts as a failed command.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from pyinfra import logger
from pyinfra.api.command import FunctionCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.operation import operation
from pyinfra.api.state import StateStage
from pyinfra.context import host, state

from meshwright.defect import defect
from meshwright.errors import Exit, MeshwrightError
from meshwright.execution import Execution
from meshwright.journal import Journal
from meshwright.operations.connector import target_of
from meshwright.operations.inventory import Values
from meshwright.options import Options
from meshwright.plan import Plan, approval
from meshwright.render import plan_lines
from meshwright.run import Run
from meshwright.step import Step

__all__ = ["run_steps"]

# The runs that the operations of this process are part of, by environment: of one with several clusters each has its
# own, with its own record, lock and Lease (meshwright.run says how the end of one is found).
_runs: dict[str, Run] = {}


def run_steps(steps: Sequence[Step]) -> None:
    """Makes one pyinfra operation of each step, for the current host.

    Without `-y`, or with an approval to compare, the whole plan is made and printed first.
    """
    try:
        execution = _execution(steps)
        if state.check_for_changes or execution.options.approved is not None or execution.env.protected:
            _preview(execution)
    except Exception as unexpected:
        error = _told(unexpected)
        Journal.of_process().write("error", message=error.message, hint=error.hint, exit=int(error.exit_code))
        raise OperationError(str(error)) from None
    execution.join()
    for step in host.loop(steps):  # type: ignore[no-untyped-call]
        _operation(name=step.name, execution=execution, step=step)


def _execution(steps: Sequence[Step]) -> Execution:
    values: Values = host.data.meshwright
    data = {name: value for name in Options.names() if (value := host.data.get(name)) is not None}
    target = target_of(host, values.project)
    journal = Journal.of_process()

    # Found out here: pyinfra's `host` is not there in the threads of a step.
    prefix = host.print_prefix

    def say(sentence: str) -> None:
        journal.write("say", text=sentence)
        logger.info(f"{prefix}{sentence}")

    target.say = say
    options = Options.of(data, host.name)
    deploy = Path(state.current_exec_filename or "").stem
    return Execution(
        target,
        values.env,
        steps,
        options,
        journal,
        run=_run_of(values.env.name, options, data.get("approved"), journal),
        deploy=deploy,
    )


def _run_of(environment: str, options: Options, approved: Any, journal: Journal) -> Run:
    if environment not in _runs:
        # Whoever asks for a journal is the command; it is told apart in records.
        program = "meshwright" if journal.path else "pyinfra"
        # One record for all hosts.
        told = ", ".join(f"{name} {digest}" for name, digest in approved.items()) if isinstance(approved, dict) else ""
        _runs[environment] = Run(environment, program=program, reason=options.reason, approved=told or options.approved)
        atexit.register(_runs[environment].close)
    return _runs[environment]


def _preview(execution: Execution) -> None:
    plans = execution.preview()
    execution.journal.write("plan", plans=[plan.as_json() for plan in plans], digest=approval(plans))
    for line in plan_lines(plans):
        logger.info(line)
    if not state.check_for_changes or execution.options.approved is not None:
        execution.approve()


@operation()
def _operation(execution: Execution, step: Step) -> Generator[FunctionCommand, None, None]:
    if state.current_stage != StateStage.Execute:
        shown = execution.shown(step)
        if shown is not None and not shown.empty and not step.check:
            yield FunctionCommand(_nothing, [], {})
        else:
            host.noop(f"{step.name}: nothing to change")
        return
    started = time.monotonic()
    try:
        plan = execution.begin(step)
        if step.check:
            execution.apply(step, plan)
    except Exception as error:
        yield _failing(execution, step, _told(error))
        return
    if plan.empty:
        seconds = time.monotonic() - started
        execution.journal.write("step", step=step.name, state="unchanged", seconds=round(seconds, 3))
        host.noop(f"{step.name}: nothing to change")
        return
    yield FunctionCommand(_applying(execution, step, plan), [], {})


def _nothing() -> None:
    """Stands for a change while pyinfra only asks whether there is one."""


def _applying(execution: Execution, step: Step, plan: Plan) -> Callable[[Any, Any], bool]:
    def apply(state: Any, host: Any) -> bool:  # noqa: ARG001 - pyinfra passes both, by these names
        try:
            seconds = execution.apply(step, plan)
        except Exception as error:
            return _report(execution, step, _told(error))
        execution.journal.write("step", step=step.name, state="changed", seconds=round(seconds, 3))
        return True

    return apply


def _told(error: Exception) -> MeshwrightError:
    return error if isinstance(error, MeshwrightError) else defect(error)


def _failing(execution: Execution, step: Step, error: MeshwrightError) -> FunctionCommand:
    def fail(state: Any, host: Any) -> bool:  # noqa: ARG001
        return _report(execution, step, error)

    return FunctionCommand(fail, [], {})


def _report(execution: Execution, step: Step, error: MeshwrightError) -> bool:
    execution.journal.write(
        "error", step=step.name, message=error.message, hint=error.hint, exit=int(error.exit_code or Exit.ERROR)
    )
    logger.error(f"{step.name}: {error}")
    return False
