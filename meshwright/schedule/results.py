"""Results of jobs that run in the cluster, kept there: a ConfigMap for each job with its last ones. Their pods go."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from meshwright import kube
from meshwright.environment import Environment
from meshwright.rights import OWN, Right
from meshwright.schedule.running import Result, parsed

__all__ = ["keep", "last", "rights"]

_KEPT = 50
_LABEL, _KEY, _MANAGER = "meshwright/results", "results.jsonl", "meshwright-jobs"


def _name(env: Environment, job: str) -> str:
    return f"job.{env.environment}.{job}"


def rights(env: Environment, job: str) -> list[Right]:
    """What it takes to keep the results of a job."""
    why = "the results of jobs"
    return [
        # The name of what is created cannot be limited.
        Right(why, "", ("configmaps",), ("create",), OWN),
        Right(why, "", ("configmaps",), ("patch",), OWN, (_name(env, job),)),
    ]


def keep(session: kube.Session, env: Environment, result: Result) -> None:
    """Adds a result. Raises what a session raises."""
    name = _name(env, result.job)
    found = session.get("v1", "ConfigMap", name, OWN) or {}
    lines = [*_lines(found), json.dumps(asdict(result), ensure_ascii=False)][-_KEPT:]
    session.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": OWN, "labels": {_LABEL: env.environment}},
            "data": {_KEY: "".join(f"{line}\n" for line in lines)},
        },
        manager=_MANAGER,
        force=True,
    )


def last(session: kube.Session, env: Environment) -> dict[str, Result]:
    """The last result of each job. Raises what a session raises."""
    listed = session.list("v1", "ConfigMap", OWN, labels=f"{_LABEL}={env.environment}")
    return {result.job: result for found in listed for result in parsed(_lines(found))}


def _lines(found: dict[str, Any]) -> list[str]:
    return str((found.get("data") or {}).get(_KEY) or "").splitlines()
