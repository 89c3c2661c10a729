"""Results that are sent to a webhook, a real server of this test."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fakes import environment

from meshwright.environment.timetable import Webhook
from meshwright.project import Project
from meshwright.schedule import jobs, running, webhook

SECRET = "T0KEN"
PAUSES = (0.0, 0.0)


class Server:
    """Answers with the codes in `codes`, one after the other, then with 204; keeps what it got."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.got: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                assert self.headers["Content-Type"] == "application/json"
                outer.got.append(json.loads(self.rfile.read(length)))
                self.send_response(outer.codes.pop(0) if outer.codes else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/{SECRET}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def send(project: Project, hook: Webhook) -> tuple[bool, list[str]]:
    said: list[str] = []
    result = {"job": "drift", "at": "2026-11-23T12:07:00.000Z", "exit": 2, "seconds": 3.1, "message": "m"}
    return webhook.send(project, "lab", hook, result, said.append, PAUSES), said


def test_a_result_is_sent_as_json(project: Project, server: Server) -> None:
    assert send(project, Webhook(url=server.url)) == (True, [])
    [got] = server.got
    assert got.pop("machine")
    assert got == {
        "format_version": "1.0",
        "environment": "lab",
        "job": "drift",
        "at": "2026-11-23T12:07:00.000Z",
        "exit": 2,
        "seconds": 3.1,
        "message": "m",
    }


def test_the_url_may_be_in_a_file(project: Project, server: Server) -> None:
    (project.root / "url").write_text(server.url + "\n")
    assert send(project, Webhook(url_file="url"))[0]


@pytest.mark.parametrize(
    ("codes", "sent", "attempts"),
    [([503, 500], True, 3), ([429], True, 2), ([503] * 3, False, 3), ([404], False, 1), ([302], False, 1)],
)
def test_it_is_tried_again_where_that_may_help(
    project: Project, server: Server, codes: list[int], sent: bool, attempts: int
) -> None:
    last = codes[-1]
    server.codes = codes
    done, said = send(project, Webhook(url=server.url))
    assert (done, len(server.got)) == (sent, attempts)
    assert said == ([] if sent else [f"the result could not be sent to the webhook: it answered {last}"])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"http://127.0.0.1:9/{SECRET}", "ConnectError"),
        (f"ftp://a/{SECRET}", "its URL is none"),
        ("no url", "its URL"),
    ],
)
def test_what_cannot_be_sent_is_said_without_the_url(project: Project, url: str, why: str) -> None:
    (project.root / "url").write_text(url)
    done, [said] = send(project, Webhook(url_file="url"))
    assert not done
    assert why in said
    assert SECRET not in said
    assert send(project, Webhook(url_file="none")) == (
        False,
        ["the result could not be sent: none cannot be read: No such file or directory"],
    )


@pytest.mark.parametrize(("when", "sent"), [("failed", ["1", "1", "0"]), ("always", ["0", "1", "1", "0", "0"])])
def test_failures_are_sent_and_the_end_of_them(
    project: Project, server: Server, monkeypatch: pytest.MonkeyPatch, when: str, sent: list[str]
) -> None:
    values = environment(schedule={"webhook": {"url": server.url, "when": when}})
    for code in "01100":
        monkeypatch.setattr(running, "command", lambda *_words, code=code: [sys.executable, "-c", f"exit({code})"])
        running.run(project, values, jobs.named(values, "drift"), print)
    assert [str(got["exit"]) for got in server.got] == sent
