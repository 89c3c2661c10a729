"""The rules of the house that a machine can look at (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "meshwright"
LONGEST = 300


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path, *, top_level):
    """The dotted names that a module imports; with `top_level` only those that run when it is imported."""
    tree = ast.parse(path.read_text())
    nodes = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)] if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def test_there_is_something_to_look_at():
    assert len(MODULES) > 60


@pytest.mark.parametrize(("library", "package"), [("pyinfra", "meshwright.operations"), ("click", "meshwright.cli")])
def test_only_its_own_package_imports_a_framework(library, package):
    users = {
        module
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in imports_of(path, top_level=False))
    }
    assert users
    assert all(user.startswith(package) for user in users), users


def test_no_import_cycles():
    graph = {m: {n for n in imports_of(p, top_level=True) if n in MODULES and n != m} for m, p in MODULES.items()}
    done: set[str] = set()

    def visit(module, trail):
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, [*trail, module])
            done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_small_and_say_what_they_are(module):
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= LONGEST
    assert ast.get_docstring(ast.parse(text)), "no docstring"


def test_what_is_imported_is_declared():
    """In a venv from the lock file nothing else is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^A-Za-z0-9_-]", wish)[0].lower() for wish in project["dependencies"]}
    names = {"yaml": "pyyaml", "pydantic_core": "pydantic", "OpenSSL": "pyopenssl"}
    used = {name.split(".")[0] for path in MODULES.values() for name in imports_of(path, top_level=False)}
    foreign = {names.get(name, name.lower()) for name in used - sys.stdlib_module_names - {"meshwright", "__future__"}}
    # zoneinfo reads it where the system has no time zones.
    read = {"tzdata"}
    assert foreign <= declared
    assert declared - foreign == read, "declared and not used"


def test_commands_that_read_do_not_pay_for_pyinfra():
    script = "import sys, meshwright.cli.plan, meshwright.checks, meshwright.ingress; print('pyinfra' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_file_names_this_machine_or_a_registry():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    # Put together here, so that this file does not have them itself.
    forbidden = ["/" + "work/", "pypi" + ".org", "proxy.golang" + ".org", "deb.debian" + ".org", "/" + "root/"]
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_symlink() or not path.is_file() or path.suffix in (".sum", ".png"):
            continue
        text = path.read_text(errors="replace")
        found += [f"{name}: {word}" for word in forbidden if word in text]
    assert found == []
