"""The documentation says what is so: links, commands, options, targets and files that it names, and its example."""

from __future__ import annotations

import importlib
import re
import sys
from functools import cache
from pathlib import Path

import click
import pytest

import meshwright
from meshwright import cli, deploy
from meshwright.plan import Action

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "group_data/**/*.md", "lab/**/*.md", "tests/**/*.md", ".ci/**/*.md")
    for path in ROOT.glob(pattern)
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# Files that pages tell the reader to write, and a misspelt one.
INVENTED = {
    "inventory/lba.py",
    "inventory/mine.py",
    "group_data/mine.yaml",
    "meshwright/nameplate.py",
    "deploys/nameplate.py",
    "tests/unit/test_nameplate.py",
}
# Placeholders stand in capitals: group_data/NAME.yaml, inventory/ENV.py.
_PATH = re.compile(r"(?:deploys|docs|group_data|inventory|lab|meshwright|templates|tests|\.ci)/[\w./-]*")
_FENCE = re.compile(r"^(```+|~~~+)(\w*)[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_MAKE = re.compile(r"(?:^|&& |; )(?:sudo (?:-E )?)?make ([a-z.][\w./-]*)", re.MULTILINE)
_COMMAND = re.compile(r"(?<![\w./=-])meshwright ([a-z][\w-]*)([^`|;&#)\n]*)")


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page):
    """A page without its code."""
    return _SPAN.sub("", _FENCE.sub("", text_of(page)))


def code(page):
    """The pieces of code of a page, without those in Python."""
    text = text_of(page)
    blocks = [found[3] for found in _FENCE.finditer(text) if found[2] not in ("python", "py")]
    return blocks + [" ".join(found[2].split()) for found in _SPAN.finditer(_FENCE.sub("", text))]


@cache
def anchors(path):
    """The anchors of a page's headings, as GitHub makes them, and those that it sets itself."""
    text = path.read_text(encoding="utf-8")
    found, counts = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)), {}
    for heading in re.findall(r"^#{1,6} +(.*?)(?: +#+)?$", _FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = counts.get(slug, 0)
        counts[slug] = number + 1
        found.add(f"{slug}-{number}" if number else slug)
    return found


def test_there_is_something_to_look_at():
    assert {"README.md", "CONTRIBUTING.md", "docs/README.md", "docs/concepts.md"} <= set(NAMES)


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page):
    broken = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        if not target.exists() or not target.is_relative_to(ROOT):
            broken.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(target):
            broken.append(f"{link}: no such heading")
    assert broken == []


def test_every_page_can_be_reached_from_the_readme():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        links = _LINK.findall(prose(page.relative_to(ROOT)))
        near = ((page.parent / link.partition("#")[0]).resolve() for link in links if ":" not in link)
        todo += [path for path in near if path.suffix == ".md" and path.is_file()]
    docs = {ROOT / name for name in NAMES if name.startswith("docs/")}
    assert docs - seen == set()


def options(command):
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"-h", "--help"}


def faults(words, rest):
    """What is wrong with `meshwright WORDS... REST`."""
    if words not in cli.COMMANDS:
        return [f"meshwright {words}: no such command"]
    command = importlib.import_module(f"meshwright.cli.{words}").command
    given = rest.split()
    if isinstance(command, click.Group) and given:
        named = given.pop(0)
        command = command.get_command(click.Context(command), named)
        if command is None:
            return [f"meshwright {words} {named}: no such command"]
    wrong = [word for word in given if word.startswith("--") and word.partition("=")[0] not in options(command)]
    return [f"meshwright {words}: no option {word}" for word in wrong]


@pytest.mark.parametrize("page", NAMES)
def test_commands_and_options_exist(page):
    found = [fault for piece in code(page) for words, rest in _COMMAND.findall(piece) for fault in faults(words, rest)]
    assert found == []


@pytest.mark.parametrize(
    ("words", "rest"), [("plann", ""), ("env", " shwo lab"), ("plan", " lab --yes"), ("apply", " lab --frob=1")]
)
def test_a_wrong_command_is_seen(words, rest):
    assert faults(words, rest)


@pytest.mark.parametrize(
    ("words", "rest"), [("plan", " lab --detailed-exitcode"), ("env", " show lab"), ("env", ""), ("apply", " lab lab")]
)
def test_a_right_command_is_not(words, rest):
    assert faults(words, rest) == []


@pytest.mark.parametrize("page", NAMES)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([\w./-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for piece in code(page) for name in _MAKE.findall(piece)}
    assert {"demo", "test"} <= targets
    assert named - targets == set()


@pytest.mark.parametrize("page", NAMES)
def test_files_that_are_named_exist(page):
    missing = []
    for found in _SPAN.finditer(_FENCE.sub("", text_of(page))):
        name = found[2].partition("#")[0]
        if _PATH.fullmatch(name) and not re.search(r"[A-Z]{2}", name) and name not in INVENTED:
            near = (ROOT / name, (ROOT / page).parent / name)
            if not any(path.exists() for path in near):
                missing.append(name)
    assert missing == []


@pytest.mark.parametrize("page", NAMES)
def test_no_page_names_a_place_of_one_machine(page):
    assert re.findall(r"(?<![\w.~}])/(?:work|root|home|tmp|Users)/[^\s`]*", text_of(page)) == []


def test_signs_of_plans_are_explained():
    listed = re.findall(r"^\| `([^`]+)` \|", text_of("docs/plans.md"), re.MULTILINE)
    assert [sign for sign in listed if sign in set(Action)] == [str(action) for action in (*Action,)]


def example():
    """The files of the worked example of docs/extending.md, by path."""
    blocks = re.findall(
        r"^`([\w./]+)`:\n\n```python\n(.*?)^```$", text_of("docs/extending.md"), re.MULTILINE | re.DOTALL
    )
    return dict(blocks)


@pytest.fixture
def worked(project, monkeypatch):
    """The example put in place: its module in the package, its deploy in a project. Gives its tests, as a module."""
    files = example()
    for name, text in files.items():
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(meshwright, "__path__", [*meshwright.__path__, str(project.root / "meshwright")])
    monkeypatch.syspath_prepend(str(project.root / "tests" / "unit"))
    yield importlib.import_module("test_nameplate")
    for name in ("meshwright.nameplate", "test_nameplate"):
        sys.modules.pop(name, None)
    # The import system leaves the module in its package as well.
    meshwright.__dict__.pop("nameplate", None)


def test_the_example_has_module_deploy_and_tests():
    assert set(example()) == {"meshwright/nameplate.py", "deploys/nameplate.py", "tests/unit/test_nameplate.py"}


def test_the_deploy_of_the_example_can_be_read(worked, project):
    assert [step.name for step in deploy.load(project, "nameplate")] == ["nameplate"]


def test_the_tests_of_the_example_pass(worked, host):
    tests = [value for name, value in vars(worked).items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        with pytest.MonkeyPatch.context() as monkeypatch:
            test(host=host, monkeypatch=monkeypatch)
