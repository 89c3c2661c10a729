from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from releases import packed

from meshwright.errors import MeshwrightError
from meshwright.tools.archive import unpack

GOOD = {"istio-1/README": b"r", "istio-1/bin/istioctl": b"tool", "istio-1/samples/a/b.yaml": b"b"}


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def put(tmp_path: Path, data: bytes) -> Path:
    place = tmp_path / "in" / "istio-1-linux-amd64.tar.gz"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(data)
    return place


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def test_one_file(tmp_path: Path) -> None:
    into = tmp_path / "istioctl"
    unpack(put(tmp_path, packed(GOOD)), "bin/istioctl", into)
    assert into.read_bytes() == b"tool"
    assert into.stat().st_mode & 0o777 == 0o755


def test_one_folder(tmp_path: Path) -> None:
    into = tmp_path / "samples"
    unpack(put(tmp_path, packed(GOOD)), "samples", into)
    assert tree(into) == {"a", "a/b.yaml"}


def test_links_inside_are_kept_and_those_to_other_parts_left_out(tmp_path: Path) -> None:
    links = [link("istio-1/samples/same", "a/b.yaml"), link("istio-1/samples/other", "../README")]
    into = tmp_path / "samples"
    unpack(put(tmp_path, packed(GOOD, *links)), "samples", into)
    assert (into / "same").read_bytes() == b"b"
    assert tree(into) == {"a", "a/b.yaml", "same"}


def test_a_hard_link_is_the_file_again(tmp_path: Path) -> None:
    into = tmp_path / "samples"
    hard = link("istio-1/samples/hard", "istio-1/samples/a/b.yaml", tarfile.LNKTYPE)
    unpack(put(tmp_path, packed(GOOD, hard)), "samples", into)
    assert (into / "hard").read_bytes() == b"b"


EVIL = {
    "absolute": packed({**GOOD, "/tmp/evil": b"e"}),
    "up": packed({**GOOD, "../evil": b"e"}),
    "up from inside": packed({**GOOD, "istio-1/samples/../../../evil": b"e"}),
    "link out": packed(GOOD, link("istio-1/samples/l", "../../../etc/passwd")),
    "absolute link": packed(GOOD, link("istio-1/samples/l", "/etc/passwd")),
    "link to the folder above": packed(GOOD, link("istio-1/l", "..")),
    "hard link out": packed(GOOD, link("istio-1/samples/l", "../../etc/passwd", tarfile.LNKTYPE)),
    "absolute hard link": packed(GOOD, link("istio-1/samples/l", "/etc/passwd", tarfile.LNKTYPE)),
    "device": packed(GOOD, link("istio-1/samples/null", "", tarfile.CHRTYPE)),
    "pipe": packed(GOOD, link("istio-1/samples/pipe", "", tarfile.FIFOTYPE)),
}


@pytest.mark.parametrize("name", EVIL)
def test_an_archive_with_anything_that_leads_out_of_it_is_refused_whole(tmp_path: Path, name: str) -> None:
    archive = put(tmp_path, EVIL[name])
    with pytest.raises(MeshwrightError, match="is refused"):
        unpack(archive, "samples", tmp_path / "out" / "samples")
    assert not (tmp_path / "out" / "samples").exists()
    assert not (tmp_path / "evil").exists()


def test_a_link_that_leads_out_only_through_another_link(tmp_path: Path) -> None:
    links = [link("istio-1/samples/a/up", ".."), link("istio-1/samples/out", "a/up/../x")]
    with pytest.raises(MeshwrightError, match="leads out of it"):
        unpack(put(tmp_path, packed(GOOD, *links)), "samples", tmp_path / "samples")
    assert not (tmp_path / "samples").exists()


def test_no_file_is_written_through_a_link_of_the_archive(tmp_path: Path) -> None:
    """The link leads to a place that is allowed; the file below it would be written to where it leads."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.addfile(link("istio-1/samples/l", "a"))
        for name in ("istio-1/samples/a/keep", "istio-1/samples/l/keep"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(name[-6:-5].encode()))
    with pytest.raises(MeshwrightError, match=r"not an archive that can be unpacked: .* exists"):
        unpack(put(tmp_path, stream.getvalue()), "samples", tmp_path / "samples")
    assert not (tmp_path / "samples").exists()


@pytest.mark.parametrize(
    "data", [b"", b"not gzip", packed(GOOD)[:90], packed(GOOD)[:11]], ids=["empty", "text", "90 bytes", "11 bytes"]
)
def test_what_is_no_archive_or_only_the_first_part_of_one(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(MeshwrightError, match="unpacked") as caught:
        unpack(put(tmp_path, data), "samples", tmp_path / "samples")
    assert "\n" not in caught.value.message
    assert not (tmp_path / "samples").exists()


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MeshwrightError, match=r"istio-1-linux-amd64\.tar\.gz has no bin/nothing"):
        unpack(put(tmp_path, packed(GOOD)), "bin/nothing", tmp_path / "x")


_PARTS = st.sampled_from(["..", ".", "", "samples", "istio-1", "a", "/", "~", "...", "l0", "l1"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.lists(_PARTS, min_size=1, max_size=5).map("/".join).filter(lambda n: n.strip("/")), max_size=5),
    links=st.lists(st.tuples(st.lists(_PARTS, min_size=1, max_size=4).map("/".join), st.booleans()), max_size=3),
)
def test_whatever_the_names_nothing_lands_outside(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], links: list[tuple[str, bool]]
) -> None:
    tmp_path = tmp_path_factory.mktemp("t")
    hard_or_not = [
        link(f"istio-1/samples/l{i}", to, tarfile.LNKTYPE if hard else tarfile.SYMTYPE)
        for i, (to, hard) in enumerate(links)
    ]
    archive = put(tmp_path, packed(dict.fromkeys(names, b"x"), *hard_or_not))
    into = tmp_path / "deep" / "down" / "samples"
    try:
        unpack(archive, "samples", into)
    except MeshwrightError:
        assert not into.exists()
    outside = {p for p in tree(tmp_path) if not p.startswith("deep/down/samples")}
    assert outside <= {"in", "in/istio-1-linux-amd64.tar.gz", "deep", "deep/down"}
    for path in into.rglob("*") if into.is_dir() else ():
        assert Path(os.path.realpath(path)).is_relative_to(os.path.realpath(into))
