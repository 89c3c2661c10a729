from __future__ import annotations

import re

import pytest
import yaml

from meshwright import process
from meshwright.lab import images, programs, recipes, rootfs
from meshwright.lab.recipes import all_images
from meshwright.tools import golang

STAND_INS = ("k3s", "k3d-tools", "examples-bookinfo-", "grafana:", "kiali:", "loki:", "prometheus-config-reloader:")


def keys(host):
    return {image.name: image.key for image in all_images(host)}


def test_stand_ins_are_named_so_and_nothing_else_is(host):
    for image in all_images(host):
        what = image.name.removeprefix("meshwright.lab/")
        assert what != image.name
        is_one = what.removeprefix("istio/").removeprefix("stand-in/").startswith(STAND_INS)
        assert what.startswith("stand-in/") is is_one
        recipe = image.recipe.read_text()
        assert ("STAND-IN" in recipe) is is_one


def test_recipes_copy_only_what_is_in_their_context(host):
    for image in all_images(host):
        given = {path.name for path in image.context} | ({"envoy_bootstrap.json"} if image.bootstrap else set())
        copied = set()
        for line in re.findall(r"^COPY (.+)$", image.recipe.read_text(), re.MULTILINE):
            copied |= {word.rstrip("/") for word in line.split()[:-1]}
        assert copied == given, image.name


def test_recipes_are_given_the_arguments_that_they_ask_for(host):
    for image in all_images(host):
        asked = set(re.findall(r"^ARG (\w+)", image.recipe.read_text(), re.MULTILINE))
        assert {name for name, _ in image.arguments} == asked, image.name


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("lab/node/standin/server.py", "k3s:"),
        ("lab/apps/bookinfo.py", "examples-bookinfo-"),
        ("lab/images/pilot.Dockerfile", "istio/pilot:"),
        ("lab/go/coredns/go.sum", "coredns:"),
        ("lab/go/jaeger/go.sum", "jaeger:"),
        ("lab/apps/loki.py", "loki:"),
        ("lab/README.md", "(none)"),
    ],
)
def test_a_change_makes_new_keys_for_what_it_concerns_only(host, file, changed):
    before = keys(host)
    with (host.project.root / file).open("a") as opened:
        opened.write("\n")
    after = keys(host)
    assert {name for name in after if after[name] != before[name]} == {name for name in after if changed in name}


def test_a_new_base_makes_new_keys_for_all_that_stand_on_it(host, monkeypatch):
    before = keys(host)
    monkeypatch.setattr(rootfs, "_PACKAGES", ("python3",))
    after = keys(host)
    same = {name for name in after if after[name] == before[name]}
    assert {name.rpartition(":")[0] for name in same} == {
        f"meshwright.lab/{name}" for name in ("coredns", "pause", "ratelimit", "istio/echo", "jaeger")
    }


def test_all_bookinfo_images_differ(host):
    found = [image for image in all_images(host) if "bookinfo" in image.name]
    assert len({image.key for image in found}) == len(found) == 6


def test_the_node_asks_for_the_images_that_it_is_given(host):
    in_node = {image.name for image in all_images(host) if image.bundle == "node"}
    node = host.project.root / "lab" / "node"
    pause = re.search(r'sandbox_image = "(.+)"', (node / "containerd.toml").read_text())
    assert pause is not None
    assert pause[1] in in_node
    documents = yaml.safe_load_all((node / "manifests" / "coredns.yaml").read_text())
    [dns] = [one for one in documents if one["kind"] == "Deployment"]
    assert dns["spec"]["template"]["spec"]["containers"][0]["image"] in in_node


def test_the_environment_lab_asks_for_what_is_made(host, repository):
    values = yaml.safe_load((repository / "group_data" / "lab.yaml").read_text())
    names = {image.name for image in all_images(host)}
    assert {values["cluster"]["image"], values["cluster"]["tools_image"]} <= names
    hub, tag = values["istio"]["hub"], values["istio"]["version"]
    assert {f"{hub}/pilot:{tag}", f"{hub}/proxyv2:{tag}"} <= names
    [volume] = values["cluster"]["volumes"]
    assert host.project.root / volume.partition(":")[0] == images.archive(host).parent


def test_the_images_of_bookinfo_are_those_of_the_release(host, repository):
    """Needs the module's source on this machine, which whoever has built the lab has."""
    go = next(iter(golang.find()), None)
    if go is None:
        pytest.skip("no Go here")
    cache = process.run(
        [go.path, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", recipes.ISTIO.module],
        cwd=str(repository / recipes.ISTIO.folder),
        ok=None,
    )
    sample = repository.joinpath(cache.text.strip() or "nowhere", "samples/bookinfo/platform/kube/bookinfo.yaml")
    if not sample.is_file():
        pytest.skip("the module is not downloaded here")
    wanted = re.findall(r"image: \S+/(examples-bookinfo-\S+)", sample.read_text())
    assert wanted
    made = {image.name.rpartition("/")[2] for image in all_images(host)}
    assert set(wanted) <= made
    assert programs.PROGRAMS["pilot-agent"].pinned in str(sample)
