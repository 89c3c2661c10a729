"""The stand-ins for addons: what they answer where nobody else is there to ask."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from types import ModuleType

import pytest

Get = Callable[[str], tuple[int, str]]


@pytest.fixture
def get(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, app: Callable[[str], ModuleType]
) -> Iterator[Get]:
    """Asks the app that the test names."""
    monkeypatch.setenv("PROMETHEUS", "http://127.0.0.1:9")
    with ThreadingHTTPServer(("127.0.0.1", 0), app(request.param).Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def asked(path: str) -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=20) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        yield asked
        server.shutdown()


@pytest.mark.parametrize(
    ("get", "path", "status", "said"),
    [
        ("loki", "/ready", 200, "ready\n"),
        ("loki", "/loki/api/v1/labels?x=y", 200, {"status": "success", "data": []}),
        ("loki", "/", 404, {"status": "error", "error": "the stand-in has no such page"}),
        ("grafana", "/api/health", 200, {"database": "ok", "version": "stand-in"}),
        ("grafana", "/api/search?type=dash-db", 200, []),
        ("grafana", "/none", 404, {"message": "the stand-in has no such page"}),
        ("kiali", "/kiali/healthz", 200, {}),
        ("kiali", "/", 404, {"error": "the stand-in has no such page"}),
        ("reloader", "/healthz", 200, ""),
        ("reloader", "/", 404, ""),
        ("prometheus", "/service", 200, []),
    ],
    indirect=["get"],
)
def test_what_is_asked_for_is_answered(get: Get, path: str, status: int, said: object) -> None:
    found, text = get(path)
    assert found == status
    assert (text if isinstance(said, str) else json.loads(text)) == said


@pytest.mark.parametrize(("get", "status"), [("kiali", 503), ("grafana", 502)], indirect=["get"])
def test_without_prometheus_they_say_so(get: Get, status: int) -> None:
    path = "/kiali/api/namespaces/graph" if status == 503 else "/api/datasources/proxy/uid/prometheus/api/v1/query"
    assert get(path)[0] == status


@pytest.mark.parametrize("get", ["grafana"], indirect=True)
def test_their_pages_say_what_they_are(get: Get) -> None:
    assert "Grafana (a stand-in)" in get("/")[1]
