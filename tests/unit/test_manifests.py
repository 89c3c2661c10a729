"""The user's own manifests: every object with its place, or one sentence."""

from __future__ import annotations

import base64
import json
import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshwright import manifests
from meshwright.errors import BadInput, MeshwrightError

MIB = 1 << 20
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: team\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "a project"
    root.mkdir()
    return root


def config(name: str = "x", **more: Any) -> str:
    return CONFIG.format(name=name) + "".join(f"{key}: {json.dumps(value)}\n" for key, value in more.items())


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def read(root: Path, *paths: str, kubectl: str = "no-kubectl-here") -> list[tuple[str, str]]:
    """The name and the place of each object."""
    return [(m.obj["metadata"]["name"], m.place) for m in manifests.read(root, paths, kubectl)]


def refusal(root: Path, *paths: str) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read(root, *paths)
    return caught.value


def test_a_file_of_several_objects(root: Path) -> None:
    write(root, "a.yaml", "# head\n" + config("one") + "---\n\n" + config("two") + "---\n")
    assert read(root, "a.yaml") == [("one", "a.yaml:2"), ("two", "a.yaml:9")]


def test_a_folder_stands_for_its_files_in_order(root: Path) -> None:
    for name in ("my/b.yaml", "my/a.yml", "my/c/d.json", "my/c/README.md"):
        text = config(Path(name).stem)
        write(root, name, json.dumps(yaml.safe_load(text)) if name.endswith("json") else text)
    write(root, "other.yaml", config("other"))
    assert read(root, "other.yaml", "my") == [
        ("other", "other.yaml:1"),
        ("a", "my/a.yml:1"),
        ("b", "my/b.yaml:1"),
        ("d", "my/c/d.json:1"),
    ]


def test_the_objects_of_a_list_have_their_own_lines(root: Path) -> None:
    items = "".join(f"- {textwrap.indent(config(name), '  ')[2:]}" for name in ("one", "two"))
    write(root, "list.yaml", f"apiVersion: v1\nkind: ConfigMapList\nitems:\n{items}---\n{config('three')}")
    assert read(root, "list.yaml") == [("one", "list.yaml:4"), ("two", "list.yaml:9"), ("three", "list.yaml:15")]


def test_an_empty_list_and_an_empty_file_are_nothing(root: Path) -> None:
    write(root, "list.yaml", "apiVersion: v1\nkind: List\nitems:\n---\napiVersion: v1\nkind: List\nitems: []\n")
    write(root, "empty.yaml", "# nothing yet\n")
    assert read(root, "list.yaml", "empty.yaml") == []


def test_a_byte_order_mark_is_no_text(root: Path) -> None:
    (root / "a.yaml").write_bytes(b"\xef\xbb\xbf" + config("one").encode())
    assert read(root, "a.yaml") == [("one", "a.yaml:1")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("just text\n", 'a.yaml:1: a Kubernetes object is a mapping, this is "just text"'),
        ("\n- 1\n", "a.yaml:2: a Kubernetes object is a mapping, this is a list"),
        ("kind: ConfigMap\n", "a.yaml:1: apiVersion is missing or not text"),
        ("apiVersion: 1\nkind: X\n", "a.yaml:1: apiVersion is missing or not text"),
        ("apiVersion: v1\n", "a.yaml:1: kind is missing or not text"),
        ("apiVersion: v1\nkind: X\nmetadata: x\n", "a.yaml:1: metadata.name is missing or not text"),
        ("apiVersion: v1\nkind: X\nmetadata: {name: 1}\n", "a.yaml:1: metadata.name is missing or not text"),
        (
            "apiVersion: v1\nkind: X\nmetadata: {name: x, namespace: 7}\n",
            "a.yaml:1: metadata.namespace: 7 must be text",
        ),
        (
            "apiVersion: v1\nkind: X\nmetadata: {name: x, labels: [a]}\n",
            "a.yaml:1: metadata.labels is a mapping, this is a list",
        ),
        (
            "apiVersion: v1\nkind: X\nmetadata: {name: x, labels: {on: yes}}\n",
            "a.yaml:1: metadata.labels.on is true, it must be text",
        ),
        (
            "apiVersion: v1\nkind: X\nmetadata: {name: x, annotations: {a: 1.10}}\n",
            "a.yaml:1: metadata.annotations.a is 1.1, it must be text",
        ),
        ("apiVersion: v1\nkind: List\nitems: x\n", "a.yaml:1: items of a List is a list"),
        ("apiVersion: v1\nkind: List\nitems:\n- x\n", 'a.yaml:4: a Kubernetes object is a mapping, this is "x"'),
        ("a: [\n", "a.yaml:1: this is not YAML: did not find expected node content"),
    ],
)
def test_what_is_no_object(root: Path, text: str, sentence: str) -> None:
    write(root, "a.yaml", text)
    assert refusal(root, "a.yaml").message == sentence


def test_paths_that_lead_nowhere(root: Path) -> None:
    (root / "empty").mkdir()
    (root / "bytes.yaml").write_bytes(b"a: \xff\n")
    (root.parent / "outside.yaml").write_text(config())
    assert refusal(root, "none.yaml").message == "resources.manifests: none.yaml does not exist"
    assert refusal(root, "empty").message == "resources.manifests: the folder empty has no YAML or JSON files"
    assert refusal(root, "bytes.yaml").message == "bytes.yaml: byte 3 is not UTF-8"
    for path in ("../outside.yaml", str(root.parent / "outside.yaml"), "empty/../.."):
        assert refusal(root, path).message == f"resources.manifests: {path} leads out of the project"


def test_a_project_behind_a_link_is_not_outside(root: Path) -> None:
    write(root, "a.yaml", config())
    (root.parent / "link").symlink_to(root)
    assert read(root.parent / "link", "a.yaml") == [("x", "a.yaml:1")]


def test_a_file_that_may_not_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "a.yaml", config())

    def refused(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert refusal(root, "a.yaml").message == "a.yaml cannot be read: Permission denied"


def test_two_of_one_name_are_told_with_both_places(root: Path) -> None:
    write(root, "a.yaml", config("x") + "---\n" + config("y"))
    write(root, "b.yaml", "\n\n" + config("y"))
    assert refusal(root, "a.yaml", "b.yaml").message == ("b.yaml:3: ConfigMap team/y is already defined at a.yaml:7")


def test_another_version_of_a_kind_is_the_same_object_and_another_group_is_not(root: Path) -> None:
    def gateway(api: str) -> str:
        return f"apiVersion: {api}\nkind: Gateway\nmetadata: {{name: g, namespace: n}}\n"

    write(root, "a.yaml", gateway("networking.istio.io/v1") + "---\n" + gateway("gateway.networking.k8s.io/v1"))
    write(root, "b.yaml", gateway("networking.istio.io/v1beta1"))
    assert len(read(root, "a.yaml")) == 2
    assert refusal(root, "a.yaml", "b.yaml").message == "b.yaml:1: Gateway n/g is already defined at a.yaml:1"


@pytest.mark.parametrize(
    ("kind", "part", "value", "fits"),
    [
        ("ConfigMap", "data", "x" * MIB, True),
        ("ConfigMap", "data", "x" * (MIB + 1), False),
        # Characters of two bytes count as two, however JSON would escape them.
        ("ConfigMap", "data", "é" * (MIB // 2), True),
        ("ConfigMap", "data", "é" * (MIB // 2 + 1), False),
        ("ConfigMap", "binaryData", base64.b64encode(bytes(MIB - 2)).decode(), True),
        ("Secret", "data", base64.b64encode(bytes(MIB - 2)).decode(), True),
        ("Secret", "data", base64.b64encode(bytes(MIB + 3)).decode(), False),
        ("Secret", "stringData", "x" * (MIB + 1), False),
        ("Widget", "spec", "x" * (MIB + 1), True),
        ("Widget", "spec", "x" * (MIB * 3 // 2), False),
    ],
)
def test_what_is_too_large_for_the_api_server_is_refused_with_its_size(
    root: Path, kind: str, part: str, value: str, *, fits: bool
) -> None:
    write(root, "a.yaml", config("big", **{part: {"k": value}}).replace("ConfigMap", kind))
    if fits:
        assert read(root, "a.yaml") == [("big", "a.yaml:1")]
    else:
        most = "1.5" if kind == "Widget" else "1"
        size = "1.5" if kind == "Widget" else "1.0"
        assert refusal(root, "a.yaml").message == (
            f"a.yaml:1: {kind} big has {size} MiB, the API server takes at most {most}"
        )


KEY = (
    "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIKnDoNotShowThisKeyAtAll/123456789+abcdefg\n-----END EC PRIVATE KEY-----\n"
)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        KEY.replace("\n", "\r\n"),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(b"x" + KEY.encode()).decode(),
        base64.b64encode(b"xx" + KEY.encode()).decode(),
        f"AGE-SECRET-KEY-1{'Q' * 58}",
    ],
)
def test_a_private_key_in_another_object_than_a_secret_is_refused_and_not_shown(root: Path, text: str) -> None:
    write(root, "a.yaml", config("k", data={"k": text}))
    error = refusal(root, "a.yaml")
    assert error.message == "a.yaml:1: ConfigMap k has a private key in it, which is not shown here"
    assert "DoNotShow" not in str(error)
    part = {"stringData": {"k": text}}
    write(root, "a.yaml", config("k", **part).replace("ConfigMap", "Secret"))
    assert read(root, "a.yaml") == [("k", "a.yaml:1")]


def test_words_around_a_private_key_are_none(root: Path) -> None:
    write(
        root,
        "a.yaml",
        config("k", data={"k": "sed '/BEGIN PRIVATE KEY-----/,/-----END PRIVATE KEY-----/d'\nage-keygen\n"}),
    )
    assert read(root, "a.yaml") == [("k", "a.yaml:1")]


def test_three_megabytes_are_told_as_such(root: Path) -> None:
    write(root, "a.yaml", config("big", data={"k": "x" * 3 * MIB}))
    assert "ConfigMap big has 3.0 MiB" in refusal(root, "a.yaml").message


# kustomize


def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("kubectl is not installed")
        pytest.skip("kubectl is not installed")
    return found


def test_a_kustomize_folder_is_built(root: Path) -> None:
    write(root, "k/kustomization.yaml", "namePrefix: my-\nresources: [base.yaml]\n")
    write(root, "k/base.yaml", config("x"))
    assert read(root, "k", kubectl=kubectl()) == [("my-x", "k")]


def test_what_kubectl_builds_from_is_known_without_it(root: Path) -> None:
    write(root, "k/kustomization.yaml", "resources: [base.yaml]\n")
    write(root, "k/base.yaml", config("x"))
    write(root, "plain/a.yaml", config("y"))
    assert manifests.kustomized(root, ["plain", "k", "none"]) == ["k"]
    before = manifests.sources(root, ["plain", "k", "k/"])
    assert [path for path, _ in before] == ["k/base.yaml", "k/kustomization.yaml"]
    write(root, "plain/a.yaml", config("z"))
    assert manifests.sources(root, ["plain", "k"]) == before
    write(root, "k/base.yaml", config("z"))
    assert manifests.sources(root, ["plain", "k"]) != before


def test_a_kustomization_that_is_refused_is_told_in_kubectls_words(root: Path) -> None:
    write(root, "k/kustomization.yaml", "resources: [missing.yaml]\n")
    with pytest.raises(BadInput) as caught:
        read(root, "k", kubectl=kubectl())
    assert caught.value.message.startswith("k: kubectl kustomize refuses it: ")
    assert "missing.yaml" in caught.value.message
    assert "[" not in caught.value.message.partition("refuses it")[2][:5]


def test_kustomize_without_kubectl_says_what_brings_it(root: Path) -> None:
    write(root, "k/kustomization.yaml", "resources: []\n")
    with pytest.raises(MeshwrightError) as caught:
        read(root, "k")
    assert not isinstance(caught.value, BadInput)
    assert caught.value.message.startswith("k is built by kubectl: cannot start no-kubectl-here")
    assert "meshwright apply ENV tools" in caught.value.hint


def test_a_kustomize_folder_inside_a_folder_is_not_taken_for_manifests(root: Path) -> None:
    write(root, "my/a.yaml", config())
    write(root, "my/k/kustomization.yaml", "resources: []\n")
    said = refusal(root, "my")
    assert said.message == "my/k/kustomization.yaml: a kustomize folder inside a folder of manifests"
    assert said.hint.endswith("my/k")


# Laws

names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=3)
objects = st.builds(
    lambda name, namespace, kind: {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "data": {"k": "two\nlines: x\n"},
    },
    names,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["ConfigMap", "Secret"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.lists(objects, max_size=8, unique_by=lambda o: (o["kind"], str(o["metadata"]))),
    as_list=st.lists(st.booleans(), min_size=8, max_size=8),
    gap=st.integers(0, 3),
)
def test_every_object_comes_once_and_its_place_is_where_it_stands(
    root: Path, found: list[dict[str, Any]], as_list: list[bool], gap: int
) -> None:
    text = ""
    for obj, listed in zip(found, as_list, strict=False):
        text += "---\n" + "# words\n" * gap
        text += yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [obj]} if listed else obj, sort_keys=True)
    (root / "a.yaml").write_text(text)
    read = manifests.read(root, ["a.yaml"], "no-kubectl-here")
    assert [manifest.obj for manifest in read] == found
    lines = text.splitlines()
    for manifest in read:
        number = int(manifest.place.removeprefix("a.yaml:"))
        assert lines[number - 1].removeprefix("- ") == "apiVersion: v1"
        assert (lines[number - 1][0] == "-") == as_list[found.index(manifest.obj)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(objects, min_size=1, max_size=5), st.data())
def test_an_object_that_is_there_twice_is_never_let_through(
    root: Path, found: list[dict[str, Any]], data: st.DataObject
) -> None:
    twice = [*found, data.draw(st.sampled_from(found))]
    (root / "a.yaml").write_text(yaml.safe_dump_all(twice))
    assert "is already defined at a.yaml:" in refusal(root, "a.yaml").message


pieces = st.sampled_from(
    ["apiVersion: v1\n", "kind: ConfigMap\n", "kind: List\n", "metadata:\n", "  name: x\n", "  labels: ", "items:\n",
     "- ", "{}", "[]", "a: 1\n", "---\n", "x", "\n", "data: ", "  ", "~\n"]
)  # fmt: skip


def said_of(root: Path, data: bytes) -> str:
    """The sentence about a file, or where its objects stand."""
    (root / "a.yaml").write_bytes(data)
    try:
        found = manifests.read(root, ["a.yaml"], "no-kubectl-here")
    except BadInput as error:
        return error.message
    assert all(m.obj["kind"] and m.obj["apiVersion"] and m.obj["metadata"]["name"] for m in found)
    return "a.yaml:" + "".join(manifest.place for manifest in found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8")) | st.lists(pieces, max_size=20).map("".join))
def test_any_text_gives_objects_or_a_sentence_with_the_file(root: Path, text: str) -> None:
    assert said_of(root, text.encode()).startswith("a.yaml:")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_any_bytes_do_too(root: Path, data: bytes) -> None:
    assert said_of(root, data).startswith("a.yaml:")
