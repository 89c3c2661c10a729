"""The page about environments, and the table of all, of a real mesh (#7)."""

from __future__ import annotations


def test_a_report_of_a_mesh_says_all_of_it(lab):
    file = lab.driver.root / "report.html"
    ran = lab.driver.meshwright("report", "lab", "--out", str(file), "--json")
    assert ran.code == 0, ran.err
    assert ran.document["summary"]["checked"] == 1
    [said] = ran.document["environments"]
    assert said["state"] == "up"
    assert said["root_days"] > 300
    page = file.read_text()
    for words in ("bookinfo", "productpage", "cluster.local", "Content-Security-Policy"):
        assert words in page
    assert "<script" not in page


def test_environments_whose_clusters_do_not_exist_are_in_the_table(lab):
    ran = lab.driver.meshwright("environments", "--json")
    assert ran.code == 0, ran.err
    found = {each["environment"]: each for each in ran.document["environments"]}
    assert found["lab"]["state"] == "up"
    assert found["staging"]["state"].endswith("is absent")
