"""The page as text: everything of others is escaped, and it is bounded."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

from reported import CERTIFICATES, NOW, TRAP, away, hostile, istio, record, to, well

from meshwright.report import mesh, page, runs, timeline
from meshwright.report.gathering import Life
from meshwright.report.text import clean, cut


class Seen(HTMLParser):
    """The elements of a page, with their attributes, and those that are not closed."""

    EMPTY = frozenset({"meta", "link", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_nothing_of_others_becomes_an_element() -> None:
    text = page.rendered([hostile()], NOW)
    assert "<script" not in text
    assert "<img" not in text
    assert text.count("&lt;script&gt;") > 30
    seen = Seen(text)
    assert seen.open == []
    assert not {"script", "img", "iframe", "object", "form", "base"} & {tag for tag, _ in seen.tags}
    assert not [a for _, attributes in seen.tags for a in attributes if a.startswith("on") or a == "style"]
    text.encode()


def test_it_asks_for_nothing() -> None:
    seen = Seen(page.rendered([well(), away()], NOW))
    assert [each["href"] for each in seen.all("link")] == ["data:,"]
    assert all((each["href"] or "").startswith("#") for each in seen.all("a"))
    assert not [a for _, attributes in seen.tags for a in attributes if a in ("src", "srcset", "action", "data")]


def test_its_policy_allows_its_style_and_nothing_else() -> None:
    text = page.rendered([well()], NOW)
    [policy] = [each["content"] for each in Seen(text).all("meta") if each.get("http-equiv")]
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style
    assert "@import" not in style


def test_landmarks_headings_and_tables() -> None:
    text = page.rendered([well(), away()], NOW)
    seen = Seen(text)
    assert [len(seen.all(tag)) for tag in ("h1", "main", "header", "footer", "nav")] == [1] * 5
    assert len(seen.all("table")) == text.count("<caption>")
    assert all(each.get("scope") in ("col", "row") for each in seen.all("th"))
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [name for _, a in seen.tags for name in (a.get("aria-labelledby") or "").split()]
    assert set(named) <= set(ids)
    assert {(each["href"] or "")[1:] for each in seen.all("a")} <= set(ids)
    pictures = [attributes for attributes in seen.all("svg") if attributes.get("role") == "img"]
    assert len(pictures) == 3
    assert all(each.get("aria-labelledby") for each in pictures)


def test_what_could_not_be_asked_is_said() -> None:
    text = page.rendered([away()], NOW)
    sentence = "10.0.0.1:6443 cannot be reached from @local: no route to host"
    assert text.count(f"<strong>Not verified:</strong> {sentence}") == 4
    assert "From the values: what is wanted, not what is there." in text
    assert "Nothing was applied here yet" not in text, "that is not known"


def test_runs_are_bounded_and_strange_ones_left_out() -> None:
    records = [record(number) for number in range(70)]
    records[3] = record(3, commit={"dirty": True})
    records[4] = record(4, plan=({"changes": 1},))
    records[5] = record(5, who=None)
    found, said = runs.of(records)
    assert len(found) == runs.RUNS == 50
    assert said == [
        "17 older runs not shown: a report has the last 50",
        "3 records of a form that is not known, not shown",
    ]
    assert (found[0].who, found[0].change, found[0].seconds, found[0].dirty) == ("op@bastion", 1, 12.3, True)


def test_long_text_is_cut() -> None:
    found = well()
    [long], _ = runs.of([record(1, message="x" * 100_000, reason="y" * 100_000)])
    text = page.rendered([replace(found, runs=(long,) * runs.RUNS)], NOW)
    assert len(text) < 200_000
    assert cut("abcdef", 4) == "abc…"


def test_names_without_end_do_not_make_a_page_without_end() -> None:
    host = "x" * 100_000
    routes = [{"route": [to(host, host)]}] * 500
    found = mesh.of_objects([istio("VirtualService", f"x/{host}", hosts=[host] * 500, http=routes)], "the cluster")
    assert len(page.rendered([replace(well(), mesh=found)], NOW)) < 60_000


def test_characters_that_lie_are_marked() -> None:
    assert clean("a\u202eb\x00c\ud800d\te\nf") == "a\ufffdb\ufffdc\ufffdd\te\nf"


def test_the_timeline() -> None:
    root = ElementTree.fromstring(timeline.svg(CERTIFICATES, "t"))
    bars = [float(each.attrib["width"]) for each in root.iter("rect") if "bar" in each.attrib["class"]]
    assert len(bars) == 5, "what is no certificate has no bar"
    assert bars == sorted(bars)
    assert 0 < bars[0] < bars[-1] < float(root.attrib["width"])
    said = [each.text for each in root.iter("text")]
    assert {"expired, failed", "19 hours, ok", "14 days, warning", "3105 days, ok", "1 year"} <= set(said)
    assert timeline.svg(CERTIFICATES[5:], "t") == ""


def test_days_left() -> None:
    life = Life(0, 1, 1, 1, "")
    said = [timeline.left(Life(days, 1, 1, 1, life.until)) for days in (-0.1, 0.5, 1.99, 2, 400)]
    assert said == ["expired", "12 hours", "47 hours", "2 days", "400 days"]
    assert TRAP not in timeline.svg(hostile().certificates, "t")
