"""What two releases have in common, box by box, and whether a release is still what it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fleetlabel.engine.fleet.catalogue import Query
from fleetlabel.engine.release import Asked, compare, create, verify_release
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.store import SequenceStore
from release.conftest import Cli
from release.fleets import CAMERAS, CLASSES, make_store


def relabel(path: Path, flat: dict[str, Boxes2D], solid: Boxes3D, name: str = "better") -> None:
    SequenceStore.open(path).write_labels(name, flat, solid, class_names=CLASSES, provenance={"by": name})


def read(path: Path) -> tuple[dict[str, Boxes2D], Boxes3D]:
    store = SequenceStore.open(path)
    return {camera: store.labels2d("auto", camera) for camera in CAMERAS}, store.labels3d("auto")


def test_boxes_that_came_went_and_moved(fleet: Path, fleetlabel: Cli) -> None:
    first = create(fleet, "one", Asked()).manifest
    path = fleet / "a.zarr"
    flat, solid = read(path)
    # Another run numbers the same objects differently.
    renamed = solid.replace(track_id=solid.track_id + 7)
    shift = np.zeros((len(solid), 3))
    shift[0], shift[1] = (0.5, 0, 0), (20.0, 0, 0)
    moved = renamed.replace(center_m=renamed.center_m + shift)
    names = solid.class_labels()
    edges = flat["front"].xyxy_px.copy()
    edges[0] += 0.25
    kinds = flat["front"].class_id.copy()
    kinds[1] = (kinds[1] + 1) % len(CLASSES)
    pictures = {**flat, "front": flat["front"].replace(xyxy_px=edges, class_id=kinds).take(slice(0, -1))}
    relabel(path, pictures, moved)
    second = create(fleet, "two", Asked()).manifest
    found = compare(first, second, (fleet, fleet))
    assert (
        not found.added and not found.removed and not found.moved and not found.sensors and not found.settings
    )
    assert set(found.relabelled) == {"a"}
    boxes = found.relabelled["a"].boxes
    assert sum(boxes["cuboids"][name].get("changed", 0) for name in boxes["cuboids"]) == 1
    assert boxes["cuboids"][str(names[0])]["changed"] == 1
    assert boxes["cuboids"][str(names[1])]["added"] == boxes["cuboids"][str(names[1])]["removed"] == 1
    labels = flat["front"].class_labels()
    kinds_of = boxes["pictures"].values()
    counted = {what: sum(of.get(what, 0) for of in kinds_of) for what in ("added", "removed", "changed")}
    assert counted == {"added": 0, "removed": 1, "changed": 2}
    assert boxes["pictures"][str(labels[-1])]["removed"] == 1
    code, told, _ = fleetlabel("release", "diff", fleet / "releases/one", fleet / "releases/two")
    assert code == 0
    assert "labels of a: auto -> better" in told
    assert "cuboids" in told
    found_json = json.loads(
        fleetlabel("release", "diff", fleet / "releases/one", fleet / "releases/two", "--json")[1]
    )
    assert found_json["relabelled"]["a"]["boxes"]["pictures"] == boxes["pictures"]


def test_nothing_but_a_name(fleet: Path, fleetlabel: Cli) -> None:
    first = create(fleet, "one", Asked()).manifest
    path = fleet / "a.zarr"
    flat, solid = read(path)
    relabel(path, flat, solid, "again")
    second = create(fleet, "two", Asked()).manifest
    assert first.drives["a"].labels_sha256 == second.drives["a"].labels_sha256, "the content is the same"
    assert not compare(first, second, (fleet, fleet))
    assert (
        "one and two are the same"
        in fleetlabel("release", "diff", fleet / "releases/one", fleet / "releases/two")[1]
    )


def test_other_filters_are_told_with_their_boxes(fleet: Path) -> None:
    first = create(fleet, "one", Asked(classes=("car", "truck"))).manifest
    second = create(fleet, "two", Asked(query=Query(name="[a-d]"), classes=("car",))).manifest
    found = compare(first, second, (fleet, fleet))
    assert found.settings[0] == "asked: name=[a-d], was nothing"
    assert found.settings[1] == "classes: car, was car, truck"
    assert set(found.removed) == {"e", "f"}
    lost = {
        name: sum(
            of.get("removed", 0) for boxes in one.boxes.values() for n, of in boxes.items() if n == "truck"
        )
        for name, one in found.relabelled.items()
    }
    assert lost == {
        name: count for name in "abcd"
        if (count := sum(of.get("truck", 0) for of in first.drives[name].boxes.values()))
    }  # fmt: skip


def test_a_store_that_is_gone_is_said(fleet: Path, fleetlabel: Cli) -> None:
    first = create(fleet, "one", Asked()).manifest
    flat, solid = read(fleet / "a.zarr")
    relabel(fleet / "a.zarr", flat, solid.replace(source=np.full(len(solid), Source.HUMAN)))
    second = create(fleet, "two", Asked()).manifest
    found = compare(first, second, (fleet, fleet))
    assert found.relabelled["a"].boxes == {}, "no box is elsewhere"
    (fleet / "a.zarr").rename(fleet / "moved")
    problem = compare(first, second, (fleet, fleet)).relabelled["a"].problem
    assert problem is not None
    assert "a is not a FleetLabel store" in problem


def test_verify_reads_every_byte_of_what_is_released_and_of_nothing_else(
    fleet: Path, fleetlabel: Cli
) -> None:
    release = create(fleet, "one", Asked()).manifest
    seen = verify_release(release, fleet)
    assert [one.name for one in seen] == list("abcdef")
    assert not any(one.problems or one.unpinned for one in seen)
    flat, solid = read(fleet / "b.zarr")
    relabel(fleet / "b.zarr", flat, solid)
    for path in ("a.zarr/labels/auto/boxes3d", "b.zarr/labels/better/boxes3d", "c.zarr/sensors/rear"):
        chunk = next((fleet / path).rglob("c.0*"))
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 1
        chunk.write_bytes(content)
    bad = {one.name: one.problems for one in verify_release(release, fleet) if one.problems}
    assert set(bad) == {"a", "c"}, "what is not in the release does not matter"
    assert any("labels/auto/boxes3d 0..4: its files changed" in problem for problem in bad["a"])
    code, told, _ = fleetlabel("release", "verify", fleet / "releases/one.json", "--json")
    assert code == 1
    assert {one["name"] for one in json.loads(told)["drives"] if one["problems"]} == {"a", "c"}


def test_a_copy_of_the_manifest_elsewhere(fleet: Path, tmp_path: Path, fleetlabel: Cli) -> None:
    path = create(fleet, "one", Asked()).path
    copy = tmp_path / "training" / "set.json"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert fleetlabel("release", "verify", copy, "--root", fleet)[0] == 0
    code, _, told = fleetlabel("release", "verify", tmp_path / "training" / "none")
    assert code == 1
    assert "is no release" in told
    out = tmp_path / "out"
    code, told, _ = fleetlabel(
        "release", "export", copy, "--root", fleet, "--format", "coco", "--out", out, "--json"
    )
    assert code == 0
    assert json.loads(told)["drives"] == {"train": 5, "test": 1}


def test_a_person_sees_what_is_odd(tmp_path: Path, fleetlabel: Cli) -> None:
    root = tmp_path / "root"
    for seed in range(3):
        make_store(root, f"{seed}", 0.0, seed=seed, start_s=1000 * seed)
    code, told, _ = fleetlabel("release", "create", root, "one")
    assert code == 0
    assert "val, test has no drives" in told
    assert "the largest group of places has 100% of the frames; a smaller --place-m than 50" in told
    assert fleetlabel("release", "create", root, "two", "--split", "train=2")[0] == 2
    code, told, _ = fleetlabel("release", "list", root)
    assert code == 0
    assert "1 releases" in told
    assert fleetlabel("release", "drop", root / "releases" / "one")[0] == 0
    assert "0 releases" in fleetlabel("release", "list", root)[1]
