"""The commands about people's edits."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from fleetlabel.engine.cli.app import main
from fleetlabel.labels import Labels
from fleetlabel.labels import edits as e
from labels.scenes import open_labels
from labels.test_rebasing import better_run

MOVE = e.SetKeyframe3D(object_id=1, frame=5, center_m=(12.0, -8.0, 0.8), yaw_rad=0.0)


@pytest.fixture
def edited(labels: Labels) -> Labels:
    labels.commit([MOVE], author="ann", reason="off the road")
    labels.commit([e.DeleteObject(object_id=4)], author="bob")
    return labels


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["fleetlabel", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), said.out + said.err


def test_history_diff_why_revert_and_save(
    edited: Labels, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = edited.store.root

    def told(*arguments: object) -> str:
        code, said = run(capsys, monkeypatch, *arguments)
        assert code == 0, said
        return said

    assert "ann set_keyframe_3d [1] on auto: off the road" in told("history", root)
    assert "bob" not in told("history", root, "--object", 1)
    records = json.loads(told("history", root, "--json"))["records"]
    assert [(r["author"], r["in_effect"]) for r in records] == [("ann", True), ("bob", True)]
    assert "object 4 removed" in told("diff", root, "auto", "now")
    assert [d["object_id"] for d in json.loads(told("diff", root, 1, 2, "--json"))["objects"]] == [4]
    said = told("why", root, "1@5")
    assert "source human" in said and "off the road" in said and "keyframes nearby: 5" in said
    assert json.loads(told("why", root, "1@5/front", "--json"))["box"]["source"] == "detector"
    assert "record 2 is taken back" in told("revert", root, 2, "--author", "eve", "--reason", "it was there")
    assert "(taken back)" in told("history", root)
    saved = json.loads(told("save", root, "--json"))
    assert saved["labels"] in open_labels(root).store.label_versions()
    assert "0 objects differ" in told("diff", root, saved["labels"], "now")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("why", "x@y"), 2, "names no box"),
        (("why", "77@0"), 1, "there is no object 77"),
        (("revert", 9), 1, "there is no record 9"),
        (("diff", "auto", "nope"), 1, "has no labels 'nope'"),
        (("diff", "auto", "99"), 2, "no record 99"),
    ],
)
def test_what_cannot_be_is_said(
    edited: Labels,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    code: int,
    message: str,
) -> None:
    command, *rest = arguments
    found, said = run(capsys, monkeypatch, command, edited.store.root, *rest)
    assert found == code
    assert message in " ".join(said.split())


def test_a_store_that_nobody_edited(
    labels: Labels, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nobody has edited" in run(capsys, monkeypatch, "history", labels.store.root)[1]


def test_edits_are_taken_along_to_a_better_run(
    edited: Labels, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = edited.store.root
    better_run(edited)
    away = replace(MOVE, center_m=(16.0, -8.0, 0.8))
    edited.commit([away, e.Escalate(object_id=5, text="odd")], author="bob")
    code, said = run(capsys, monkeypatch, "rebase", root, "better", "--author", "ann")
    assert code == 0, said
    assert "object 1 (now 11) at frames 5: the new run disagrees with keyframes of the cuboid" in said
    assert "2 objects are on better now; 1 to look at" in said
    assert open_labels(root).base.name == "better"
    code, said = run(capsys, monkeypatch, "rebase", root, "auto", "--json")
    told = json.loads(said)
    assert told["new_ids"] == {"11": 1, "15": 5} and told["misfits"][0]["frames"] == [5]
    assert run(capsys, monkeypatch, "rebase", root, "auto")[0] == 2


def test_next_leads_two_people_to_two_places(
    edited: Labels, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = edited.store.root

    def told(*arguments: object) -> str:
        code, said = run(capsys, monkeypatch, "next", *arguments)
        assert code == 0, said
        return said

    first = json.loads(told(root, "--count", 3, "--json"))
    assert len(first["items"]) == 3 and first["boxes"] > 100 and first["done"] in (True, False)
    assert {"object_id", "frame", "camera", "fixes", "seconds", "reason"} <= set(first["items"][0])
    ann, bob = (json.loads(told(root.parent, "--person", name, "--json"))["items"] for name in ("ann", "bob"))
    assert ann and bob and ann[0]["object_id"] != bob[0]["object_id"]
    said = told(root, "--person", "ann")
    assert f"{ann[0]['object_id']}@{ann[0]['frame']}" in said and "expected to be wrong" in said
    assert run(capsys, monkeypatch, "next", root / "nothing")[0] != 0
