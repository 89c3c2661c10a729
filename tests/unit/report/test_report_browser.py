"""The page in a real Chromium: it shows, asks nobody for anything, has nothing to complain about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, opened
from reported import NOW, TRAP, away, hostile, well

from meshwright.report import page

PAGES = {"all": [well(), away(), hostile()], "one": [well()]}
_PNG = b"\x89PNG\r\n\x1a\n"
# The relative luminance and the ratio of WCAG 2: of each text with the nearest background that is not transparent.
_CONTRASTS = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((v) => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return 'rgb(255,255,255)';
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim())) continue;
    if (node.closest('title, desc')) continue;
    const style = getComputedStyle(node);
    const one = light(node.closest('svg') ? style.fill : style.color), other = light(behind(node));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([ratio, node.tagName + '.' + node.getAttribute('class') + ': ' + node.textContent.slice(0, 30)]);
  }
  return found;
})()
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with opened(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages")
    for name, found in PAGES.items():
        (made / f"{name}.html").write_text(page.rendered(found, NOW), encoding="utf-8")
    return made


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_is_shown(chromium: Browser, folder: Path, name: str, scheme: str, width: int) -> None:
    url = (folder / f"{name}.html").as_uri()
    chromium.open(url, width, scheme)
    shot = folder / f"{name}-{width}-{scheme}.png"
    chromium.picture(shot)
    assert shot.read_bytes().startswith(_PNG)
    assert chromium.requests() == [url]
    assert chromium.complaints() == []
    assert chromium.value("document.documentElement.scrollWidth") <= width, "the page itself never scrolls sideways"
    back = chromium.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back))) > 600) == (scheme == "light")
    contrasts = chromium.value(_CONTRASTS)
    assert len(contrasts) > 50
    assert [said for ratio, said in contrasts if ratio < 4.5] == []


def test_what_others_wrote_is_text(chromium: Browser, folder: Path) -> None:
    chromium.open((folder / "all.html").as_uri(), 1400, "light")
    assert chromium.value("document.querySelectorAll('script, img, iframe, object, [onerror], [style]').length") == 0
    assert TRAP in chromium.value("document.querySelector('#env-3 h2').textContent")
    assert TRAP in chromium.value("document.querySelector('#env-3-mesh').textContent")


def test_the_style_is_the_one_that_is_allowed(chromium: Browser, folder: Path) -> None:
    text = (folder / "one.html").read_text().replace("<style>", "<style>\nbody{color:red}")
    (folder / "other.html").write_text(text)
    chromium.open((folder / "other.html").as_uri(), 1400, "light")
    assert any("Content Security Policy" in said for said in chromium.complaints()), "a change of it is seen"


def test_tables_become_cards_where_it_is_narrow(chromium: Browser, folder: Path) -> None:
    display = "getComputedStyle(document.querySelector('.cards tbody tr')).display"
    chromium.open((folder / "one.html").as_uri(), 400, "light")
    assert chromium.value(display) == "block"
    chromium.open((folder / "one.html").as_uri(), 1400, "light")
    assert chromium.value(display) == "table-row"


def test_it_can_be_printed(chromium: Browser, folder: Path) -> None:
    chromium.open((folder / "one.html").as_uri(), 1400, "dark")
    assert chromium.pdf().startswith(b"%PDF-")
