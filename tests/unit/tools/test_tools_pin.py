from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import Here, World, environment, k3d, kubectl, respond

from meshwright.errors import BadInput, MeshwrightError, Refused, Unreachable
from meshwright.project import Project
from meshwright.tools import pin, pins, step

A, B, C, D = (digit * 64 for digit in "abcd")


def sums(world: World, tool: str, version: str, text: str, platform: str = "") -> None:
    """Puts a checksum file on the host: for one platform, or the one for all."""
    from meshwright.target import Platform

    for name in [platform] if platform else pins.PLATFORMS:
        address = world.catalog.tools[tool].release.checksum_address(version, Platform(*name.split("-")))
        world.host.files[address.removeprefix(world.host.url)] = text.encode()


def run(world: World, *wishes: tuple[str, str]) -> list[str]:
    said: list[str] = []
    pin.pin(world.catalog, wishes, said.append)
    return said


def test_one_list_for_all_platforms_with_folders_before_the_names(world: World) -> None:
    names = {"linux-amd64": A, "linux-arm64": B, "darwin-amd64": C, "darwin-arm64": D, "windows-amd64.exe": A}
    sums(world, "k3d", "5.9.0", "".join(f"{digest}  _dist/k3d-{name}\n" for name, digest in names.items()))
    assert run(world, ("k3d", "5.9.0")) == ["k3d 5.9.0: 4 sha256"]
    assert pins.load(world.pins_file) == {
        "k3d": {"5.9.0": {"linux-amd64": A, "linux-arm64": B, "darwin-amd64": C, "darwin-arm64": D}}
    }
    assert len(world.host.asked) == 1


def test_one_digest_alone_per_platform(world: World) -> None:
    for name, digest in zip(pins.PLATFORMS, (A, B, C, D), strict=True):
        sums(world, "kubectl", "1.35.4", f"{digest}\n", name)
    run(world, ("kubectl", "1.35.4"))
    assert pins.load(world.pins_file)["kubectl"]["1.35.4"]["darwin-arm64"] == D


def test_a_digest_beside_its_name_and_a_platform_that_is_missing(world: World) -> None:
    for name, file in (("linux-amd64", "linux-amd64"), ("darwin-arm64", "osx-arm64")):
        sums(world, "istioctl", "1.30.3", f"{A}  istio-1.30.3-{file}.tar.gz\n", name)
    assert run(world, ("istioctl", "1.30.3")) == ["istioctl 1.30.3: 2 sha256; none for linux-arm64, darwin-amd64"]
    assert pins.load(world.pins_file)["istioctl"]["1.30.3"] == {"linux-amd64": A, "darwin-arm64": A}


def test_a_new_istio_is_one_line(world: World) -> None:
    for version in ("1.30.3", "1.30.10", "1.30.4"):
        for name in pins.PLATFORMS:
            sums(world, "istioctl", version, f"{A}\n", name)
        before = world.pins_file.read_text().splitlines() if version != "1.30.3" else []
        run(world, ("istioctl", version))
        world.catalog = type(world.catalog)(world.catalog.tools, world.pins_file, world.catalog.limits)
        after = world.pins_file.read_text().splitlines()
        if before:
            assert len(after) == len(before) + 1
            assert set(before) < set(after)
    assert [line[:9] for line in after if line.startswith('"')] == ['"1.30.3" ', '"1.30.4" ', '"1.30.10"']


def test_what_was_pinned_is_what_is_installed(world: World, here: Here) -> None:
    world.releases()
    world.pins_file.write_text("")
    world.catalog = type(world.catalog)(world.catalog.tools, world.pins_file, world.catalog.limits)
    sums(world, "k3d", "5.9.0", f"{hashlib.sha256(k3d('5.9.0')).hexdigest()}  _dist/k3d-linux-amd64\n")
    sums(world, "kubectl", "1.35.4", hashlib.sha256(kubectl("1.35.4")).hexdigest())
    archive = next(data for path, data in world.host.files.items() if path.endswith(".tar.gz"))
    assert isinstance(archive, bytes)
    sums(world, "istioctl", "1.30.3", hashlib.sha256(archive).hexdigest())
    env = environment()
    run(world, ("k3d", "5.9.0"), ("kubectl", "1.35.4"), ("istioctl", "1.30.3"))
    world.catalog = type(world.catalog)(world.catalog.tools, world.pins_file, world.catalog.limits)
    world.install(here, env)
    assert step.plan(here, env, world.catalog).empty


def test_a_host_that_is_away_changes_nothing(world: World) -> None:
    world.pins_file.write_text(pins.dump({"k3d": {"5.8.0": {"linux-amd64": A}}}))
    before = world.pins_file.read_text()
    world.host.stop()
    with pytest.raises(Unreachable, match=r"cannot be reached .*; nothing was written"):
        run(world, ("k3d", "5.9.0"))
    assert world.pins_file.read_text() == before


def test_one_that_fails_keeps_all_from_being_written(world: World) -> None:
    sums(world, "kubectl", "1.35.4", A)
    sums(world, "k3d", "5.9.0", f"{A}  k3d-linux-amd64")
    for path in [path for path in world.host.files if "k3d" in path]:
        world.host.files[path] = lambda handler: respond(handler, 503, b"")
    with pytest.raises(Unreachable, match="answers 503; nothing was written"):
        run(world, ("kubectl", "1.35.4"), ("k3d", "5.9.0"))
    assert world.pins_file.read_text() == ""


def test_a_release_that_was_replaced_is_refused(world: World) -> None:
    world.release("k3d", "5.9.0", b"x", sha256=B)
    before = world.pins_file.read_text()
    sums(world, "k3d", "5.9.0", f"{A}  k3d-linux-amd64\n")
    with pytest.raises(Refused, match=f"is pinned with {B}, but its publisher's list now says {A}; nothing"):
        run(world, ("k3d", "5.9.0"))
    assert world.pins_file.read_text() == before


@pytest.mark.parametrize("text", [None, "", "<html>not found</html>", f"{A}  k3d-windows-amd64.exe\n", A[:63]])
def test_a_release_that_does_not_exist_or_has_no_digest(world: World, text: str | None) -> None:
    if text is not None:
        sums(world, "k3d", "5.99.0", text)
    with pytest.raises(BadInput, match=r"k3d has no release 5\.99\.0: .*checksums\.txt has no sha256 for it"):
        run(world, ("k3d", "5.99.0"))
    assert world.pins_file.read_text() == ""


def test_no_such_tool(world: World) -> None:
    with pytest.raises(BadInput, match="helm is not a tool") as caught:
        run(world, ("helm", "3.0.0"))
    assert caught.value.hint == "The tools are k3d, kubectl, istioctl"


def test_the_command_ends_with_the_exit_codes_of_meshwright(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    sums(world, "k3d", "5.9.0", f"{A}  k3d-linux-amd64\n")
    assert pin.main(["k3d", "5.9.0"], world.catalog) == 0
    assert f"{world.pins_file}: written" in capsys.readouterr().out
    world.catalog = type(world.catalog)(world.catalog.tools, world.pins_file, world.catalog.limits)
    assert pin.main(["k3d", "5.9.0"], world.catalog) == 0
    assert "nothing to add" in capsys.readouterr().out
    assert pin.main(["k3d", "5.99.0"], world.catalog) == 65
    assert capsys.readouterr().err.startswith("k3d has no release 5.99.0")
    world.host.stop()
    assert pin.main(["k3d", "5.9.1"], world.catalog) == 1


def test_what_the_environments_of_a_project_want(world: World) -> None:
    root = world.project.root
    (root / "group_data" / "all.yaml").write_text(
        "tools: {k3d: 5.9.0, kubectl: 1.35.4}\ncluster: {kind: k3d, image: k3s:1}\n"
        "istio: {version: 1.30.3, hub: h}\nbookinfo: {enabled: false}\n"
    )
    for name, more in (("dev", "{}\n"), ("lab", "istio: {version: 1.31-alpha.eed52ebb66ad}\n")):
        (root / "inventory" / f"{name}.py").write_text("")
        (root / "group_data" / f"{name}.yaml").write_text(more)
    world.pins_file.write_text(pins.dump({"kubectl": {"1.35.4": dict.fromkeys(pins.PLATFORMS, A)}}))
    assert sorted(pin.wanted_by_project(world.catalog, Project(root))) == [("istioctl", "1.30.3"), ("k3d", "5.9.0")]


_VERSION = st.from_regex(r"\A\d{1,2}(\.\d{1,2}){1,2}(-[a-z]{1,5}\.[0-9a-f]{1,4})?\Z")
_ROW = st.dictionaries(st.sampled_from(pins.PLATFORMS), st.binary(min_size=32, max_size=32).map(bytes.hex), min_size=1)


@given(st.dictionaries(st.sampled_from(["k3d", "kubectl"]), st.dictionaries(_VERSION, _ROW, min_size=1)))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, dict[str, dict[str, str]]]
) -> None:
    path = tmp_path_factory.mktemp("pins") / "pins.toml"
    path.write_text(pins.dump(content))
    assert pins.load(path) == content


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[k3d\n", "cannot be read"),
        ('[k3d]\n"5.9.0" = { linux-amd64 = "abc" }\n', "k3d 5.9.0 is not a sha256 in 64 hex digits"),
        (f'[k3d]\n"5.9.0" = {{ linux-riscv = "{A}" }}\n', "the platforms are linux-amd64"),
        ('[k3d]\n"5.9.0" = 7\n', "k3d 5.9.0 is not"),
        ("k3d = 7\n", "k3d  is not"),
    ],
)
def test_a_pins_file_with_anything_else_in_it(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "pins.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        pins.load(path)
    assert says in str(caught.value)


def test_a_pins_file_that_cannot_be_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    sums(world, "k3d", "5.9.0", f"{A}  k3d-linux-amd64\n")
    monkeypatch.setattr(pins, "write_atomically", full)
    with pytest.raises(MeshwrightError, match=r"cannot write .*pins\.toml: No space left on device"):
        run(world, ("k3d", "5.9.0"))
