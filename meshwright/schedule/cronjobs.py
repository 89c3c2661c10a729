"""Jobs as CronJobs of the environment's own cluster: with the project in a ConfigMap, and each with an account that may
do what the job does and no more.

No account of a job that looks can read a Secret, so no pod of it can have the CA's keys. That of a change of the root
can, because that is what changing it means; a new key is made in the pod's memory, and none is kept there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from meshwright import access, deploy, rights
from meshwright.environment import Environment
from meshwright.environment.timetable import TRANSITION
from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.rights import OWN, Right, Role
from meshwright.schedule import inside, results
from meshwright.schedule.jobs import Wanted, cron_of_kubernetes

__all__ = ["objects"]

Object = dict[str, Any]

_LABEL = "meshwright/schedule"
# A CronJob's Jobs have its name and 11 characters more, and theirs ends at 63 (Kubernetes, CronJob).
_LONGEST = 52
_CUT = 43
# As long as that after its time a run that was missed is still caught up, once.
_DEADLINE = 7 * 24 * 3600
_MORE = 60
_NOBODY = 65532
# What a pod can do: the others need programs, an engine or the files of another machine.
_STEPS = frozenset({"resources", "namespaces", "accesslog"})


def objects(
    project: Project,
    env: Environment,
    jobs: Sequence[Wanted],
    uid: str,
    wanted: Sequence[Object] = (),
) -> list[Object]:
    """All that the jobs need in the cluster with the `uid`; `wanted` are the objects of the environment's resources,
    which decide the rights of its roles. Raises BadInput: a job that no pod can do."""
    if not jobs:
        return []
    files = inside.files(project, env, uid, jobs)
    keys = _keys(files)
    name = f"schedule.{env.environment}"
    made: list[Object] = [
        _object("v1", "ConfigMap", name, env, data={keys[path]: text for path, text in files.items()})
    ]
    accounts: dict[str, list[Right]] = {}
    for job in jobs:
        account, found = _rights(project, env, job, wanted)
        accounts.setdefault(account, []).extend([*found, *results.rights(env, job.name)])
        made.append(_cron_job(env, job, account, keys))
    for account, found in accounts.items():
        made.append(_object("v1", "ServiceAccount", account, env))
        subject = access.subject(f"serviceaccount:{OWN}/{account}")
        # Whatever the role is, the names are the account's.
        roles = access.manifests(env, Role.READ, list(dict.fromkeys(found)), [subject], name=f"{OWN}.{account}")
        made += [obj for obj in roles if obj["kind"] != "Namespace"]
    return made


def _object(api_version: str, kind: str, name: str, env: Environment, **more: Any) -> Object:
    metadata = {"name": name, "namespace": OWN, "labels": {_LABEL: env.environment}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def _rights(project: Project, env: Environment, job: Wanted, wanted: Sequence[Object]) -> tuple[str, list[Right]]:
    """The account of a job, and what it may do. Jobs that only look share one."""
    own = f"schedule.{env.environment}.{job.name}"
    if job.name == TRANSITION:
        return own, rights.of_role(Role.CERTS, env, [], wanted)
    if job.words[0] != "apply":
        return f"schedule.{env.environment}", rights.of_role(Role.READ, env, [], wanted)
    steps = deploy.load(project, job.words[2])
    unable = next((step.name for step in steps if not step.check and step.name not in _STEPS), "")
    if unable:
        raise BadInput(
            f"{env.where('schedule', 'jobs', job.name, 'deploy')}: the deploy {job.words[2]} of job {job.name} has the "
            f"step {unable}, which no pod can do",
            hint=f"A pod does {', '.join(sorted(_STEPS))} and checks; let cron or systemd of a machine do the rest",
        )
    return own, rights.of_role(Role.APPLY, env, [step.name for step in steps], wanted)


def _keys(files: Mapping[str, str]) -> dict[str, str]:
    """The key in the ConfigMap of each path: it may not have every character."""
    keys: dict[str, str] = {}
    for path in files:
        key = re.sub(r"[^-._a-zA-Z0-9]", "_", path)
        keys[path] = key if key not in keys.values() else f"{key}.{_digest(path)}"
    return keys


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _name(env: Environment, job: str) -> str:
    # No name of an environment or a job has a dot, so no two are the same.
    name = f"{env.environment}.{job}"
    return name if len(name) <= _LONGEST else f"{name[:_CUT].rstrip('-.')}.{_digest(name)}"


def _cron_job(env: Environment, job: Wanted, account: str, keys: Mapping[str, str]) -> Object:
    assert env.schedule is not None
    assert env.schedule.kubernetes is not None
    labels = {_LABEL: env.environment, "meshwright/job": job.name, "sidecar.istio.io/inject": "false"}
    pull = env.schedule.kubernetes.pull_secret
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": account,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"imagePullSecrets": [{"name": pull}]} if pull else {}),
        "containers": [_container(env, job, env.schedule.kubernetes.image)],
        "volumes": [
            {
                "name": "project",
                "configMap": {
                    "name": f"schedule.{env.environment}",
                    "items": [{"key": key, "path": path} for path, key in keys.items()],
                },
            },
            {"name": "state", "emptyDir": {}},
        ],
    }
    spec = {
        "schedule": cron_of_kubernetes(job.cron),
        "timeZone": job.zone.key,
        # The next time comes; two at once would only refuse each other.
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _DEADLINE,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "spec": {
                # What failed is said, and not hidden by another try.
                "backoffLimit": 0,
                "activeDeadlineSeconds": job.timeout + _MORE,
                "template": {"metadata": {"labels": labels}, "spec": pod},
            }
        },
    }
    return _object("batch/v1", "CronJob", _name(env, job.name), env, spec=spec)


def _container(env: Environment, job: Wanted, image: str) -> Object:
    state = f"{inside.ROOT}/.meshwright"
    return {
        "name": "meshwright",
        "image": image,
        "args": ["schedule", env.environment, "--run", job.name],
        "workingDir": inside.ROOT,
        "env": [{"name": "HOME", "value": f"{state}/home"}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # The sentence of a failure is in the pod's status, for whoever looks at the Job.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "project", "mountPath": inside.ROOT, "readOnly": True},
            {"name": "state", "mountPath": state},
            {"name": "state", "mountPath": "/tmp", "subPath": "tmp"},
        ],
    }
