"""Schedules that cannot be meant are refused when they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshwright.environment import BadValues, load
from meshwright.project import Project
from meshwright.schedule.rules import RULES

FILE = "group_data/lab.yaml"
ALL = """\
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {bookinfo: {}}
cluster: {kind: existing, context: c}
"""


def loaded(project: Project, values: str, shared: str = "") -> Any:
    (project.root / "group_data" / "all.yaml").write_text(ALL + shared)
    (project.root / "group_data" / "lab.yaml").write_text(values)
    (project.root / "inventory" / "lab.py").touch()
    return load(project, "lab").env


def job(text: str) -> str:
    return f"schedule: {{jobs: {{a: {text}}}}}\n"


BROKEN = [
    (
        "schedule: {timezone: Europe/Berln}",
        "1:22",
        "schedule.timezone is Europe/Berln, which is no time zone; the nearest is Europe/Berlin",
        0,
    ),
    (job("{cron: 0 1 * * *}"), "1:19", "schedule.jobs.a has neither", 1),
    (job("{run: drift, deploy: site, cron: 0 1 * * *}"), "1:19", "schedule.jobs.a has both", 1),
    (
        job("{run: drift, cron: 0 25 * * *}"),
        "1:41",
        "schedule.jobs.a.cron is '0 25 * * *': its hour is wrong; it has 0-23",
        2,
    ),
    (
        job("{run: drift, cron: 0 1 L * *}"),
        "1:41",
        "schedule.jobs.a.cron is '0 1 L * *': systemd knows neither L nor #",
        2,
    ),
    (
        "protected: true\n" + job("{deploy: site, cron: 0 1 * * *}"),
        "2:31",
        f"schedule.jobs.a.deploy is site, which does not go with protected ({FILE}:1)",
        3,
    ),
    ("schedule: {webhook: {when: always}}", "1:12", "schedule.webhook has neither", 4),
    ("schedule: {webhook: {url: 'https://a.test', url_file: b}}", "1:12", "schedule.webhook has both", 4),
    ("schedule: {webhook: {url: hooks.test}}", "1:27", "schedule.webhook.url is hooks.test", 4),
    ("schedule: {textfile: jobs.txt}", "1:22", "schedule.textfile is jobs.txt", 5),
    (
        "schedule: {transition: {days: 900, to: extend, cron: 0 25 * * *}}",
        "1:54",
        "schedule.transition.cron is '0 25 * * *': its hour is wrong; it has 0-23",
        2,
    ),
    (
        "protected: true\nschedule: {transition: {days: 900, to: extend}}",
        "2:40",
        f"schedule.transition.to is extend, which does not go with protected ({FILE}:1)",
        3,
    ),
    (
        "schedule: {jobs: {transition: {run: check, cron: 0 1 * * *}}}",
        "1:19",
        "schedule.jobs.transition has the name of the job that changes the root",
        6,
    ),
    (
        "schedule: {by: kubernetes}",
        "1:16",
        "schedule.by is kubernetes, and there is no image in schedule.kubernetes",
        7,
    ),
    (
        "schedule: {by: kubernetes, kubernetes: {image: 'a.test/b:1'}, textfile: a.prom}",
        "1:73",
        f"schedule.textfile is a.prom, which does not go with kubernetes in schedule.by ({FILE}:1)",
        8,
    ),
    (
        "schedule: {by: kubernetes, kubernetes: {image: 'a.test/b:1'}, webhook: {url_file: u}}",
        "1:83",
        f"schedule.webhook.url_file is u, which does not go with kubernetes in schedule.by ({FILE}:1)",
        8,
    ),
]


@pytest.mark.parametrize(("values", "place", "sentence", "rule"), BROKEN)
def test_schedules_that_cannot_be_meant(project: Project, values: str, place: str, sentence: str, rule: int) -> None:
    with pytest.raises(BadValues) as caught:
        loaded(project, values)
    [problem] = caught.value.problems
    assert problem.message == f"{FILE}:{place}: {sentence}"
    assert problem.hint == RULES[rule].says


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            job("{run: drfit, cron: 0 1 * * *}"),
            "schedule.jobs.a.run is drfit; it must be check, drift, certs check-root",
        ),
        (job("{run: drift}"), "schedule.jobs.a.cron is missing; it must be the five fields of cron as text"),
        ("schedule: {jobs: {drift: 7}}", "schedule.jobs.drift is 7; it must be a mapping"),
        ("schedule: {by: launchd}", "schedule.by is launchd; it must be auto, systemd, cron or kubernetes"),
        ("schedule: true", "schedule is true; it must be a mapping or null"),
        # Its key would lie on the machine with the timer.
        (
            "schedule: {transition: {days: 900, to: 'cacerts:ca'}}",
            "schedule.transition.to is 'cacerts:ca'; it must be new-self-signed or extend",
        ),
        (
            "schedule: {transition: {days: 3650, to: extend}}",
            "schedule.transition.days is 3650; it must be a whole number of days from 1 to 3649",
        ),
        ("schedule: {transition: {days: 900}}", "schedule.transition.to is missing"),
    ],
)
def test_schedules_of_a_wrong_shape(project: Project, values: str, sentence: str) -> None:
    with pytest.raises(BadValues) as caught:
        loaded(project, values)
    assert [sentence in problem.message for problem in caught.value.problems] == [True]


def test_jobs_of_ours_are_there_and_can_be_changed_and_taken_away(project: Project) -> None:
    assert list(loaded(project, "schedule: {}").schedule.jobs) == ["certificates", "verification", "drift"]
    shared = "schedule: {jobs: {drift: null, nightly: {run: check, cron: 0 3 * * *}}}\n"
    env = loaded(project, "schedule: {jobs: {certificates: {cron: 0 5 * * *}, nightly: null}}", shared)
    assert {name: (each.run, each.cron) for name, each in env.schedule.jobs.items()} == {
        "certificates": ("certs check-root", "0 5 * * *"),
        "verification": ("certs verify", "37 6 * * mon"),
    }
    assert loaded(project, "schedule: null", shared).schedule is None


def test_each_rule_is_broken_above_and_told_in_the_readme() -> None:
    assert {rule for *_, rule in BROKEN} == set(range(len(RULES)))
    readme = (Path(__file__).parents[3] / "group_data" / "README.md").read_text()
    assert [rule.says for rule in RULES if f"- {rule.says}\n" not in readme] == []
