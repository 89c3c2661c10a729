from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

Start = Callable[[str, str], int]


@pytest.fixture
def start(bookinfo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts one of the roles on 127.0.0.1, where the others find it; its port."""
    servers = []
    for name in ("DETAILS", "REVIEWS", "RATINGS"):
        monkeypatch.setenv(f"{name}_HOSTNAME", "127.0.0.1")
        monkeypatch.setenv(f"{name}_SERVICE_PORT", "9")  # discard: nothing listens there

    def begin(role: str, version: str = "v1") -> int:
        handler = type("Handler", (bookinfo.Handler,), {"role": role, "version": version})
        server = bookinfo.Server(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv(f"{role.upper()}_SERVICE_PORT", str(server.server_port))
        return int(server.server_port)

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


@pytest.mark.parametrize(("version", "colour"), [("v1", None), ("v2", "black"), ("v3", "red")])
def test_a_good_page_has_every_part_and_no_word_of_failure(start, version, colour):
    start("ratings")
    start("reviews", version)
    start("details")
    status, page, headers = get(start("productpage"), "/productpage?u=normal")
    assert status == 200
    assert "<title>Simple Bookstore App</title>" in page
    assert "error" not in page.lower()
    assert "unavailable" not in page.lower()
    assert headers["content-type"].startswith("text/html")
    assert headers["x-stand-in"] == "bookinfo"
    assert "ISBN-10" in page
    assert ("color" in page) is (colour is not None)
    assert colour is None or colour in page


@pytest.mark.parametrize("down", ["details", "reviews", "ratings"])
def test_a_failed_call_puts_error_into_the_page(start, monkeypatch, down):
    start("ratings")
    start("reviews", "v3")
    start("details")
    port = start("productpage")
    assert "error" not in get(port, "/productpage")[1]
    monkeypatch.setenv(f"{down.upper()}_SERVICE_PORT", "9")
    status, page, _ = get(port, "/productpage")
    assert status == 200
    assert "error" in page
    assert "Simple Bookstore App" in page


def test_an_answer_that_is_no_json_is_a_failed_call(start, monkeypatch):
    port = start("productpage")
    monkeypatch.setenv("DETAILS_SERVICE_PORT", str(port))
    assert "error: details:" in get(port, "/productpage")[1]


def test_every_request_asks_the_others_anew(start, bookinfo, monkeypatch):
    asked = []
    real = bookinfo.call
    monkeypatch.setattr(bookinfo, "call", lambda service, *rest: asked.append(service) or real(service, *rest))
    start("ratings")
    start("reviews", "v2")
    start("details")
    port = start("productpage")
    for _ in range(3):
        get(port, "/productpage")
    assert sorted(asked) == ["details"] * 3 + ["ratings"] * 3 + ["reviews"] * 3


def test_headers_of_tracing_and_of_the_user_are_handed_on(start, bookinfo, monkeypatch):
    handed = []
    monkeypatch.setattr(bookinfo, "call", lambda _service, _path, headers: handed.append(headers) or {})
    get(start("productpage"), "/productpage", **{"x-request-id": "r-1", "end-user": "jason", "x-other": "no"})
    assert [(one["x-request-id"], one["end-user"], "x-other" in one) for one in handed] == [("r-1", "jason", False)] * 2


@pytest.mark.parametrize("role", ["details", "ratings", "reviews"])
def test_paths_of_the_sample(start, role):
    port = start(role)
    status, text, _ = get(port, f"/{role}/0")
    assert status == 200
    assert str(json.loads(text)["id"]) == "0"
    assert get(port, "/health")[0] == 200
    assert get(port, "/productpage")[0] == 404
    assert get(port, f"/{role}/x")[0] == 404
    assert get(port, f"/{role}/0", "HEAD")[:2] == (200, "")


@given(st.text(max_size=40), st.sampled_from(["details", "ratings", "reviews", "productpage"]))
def test_any_path_has_an_answer(bookinfo, path, role):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bookinfo, "call", lambda *_: {})
        status, _, body = bookinfo.answer(role, "v1", path, {})
    assert status in (200, 404)
    assert body


def test_a_role_that_there_is_not_is_refused(bookinfo, monkeypatch, capsys):
    monkeypatch.setenv("ROLE", "cart")
    assert bookinfo.main() == 64
    assert "'cart'" in capsys.readouterr().err
