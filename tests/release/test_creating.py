"""Manifests: the same for the same, what they name, what they pin, and splits that stay from release to release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.fleet.catalogue import Query
from fleetlabel.engine.fleet.deleting import delete_drive, delete_frames, delete_sensor
from fleetlabel.engine.fleet.gc import collect, survey
from fleetlabel.engine.release import Asked, create, drop, read_manifest
from fleetlabel.engine.release.labels import ReleasedLabels
from fleetlabel.labels import Labels, save_version
from fleetlabel.labels.edits import DeleteObject
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.errors import CorruptStoreError, StoreError, StoreExistsError, UsageError
from fleetlabel.store import SequenceStore, describe, verify
from fleetlabel.store.pins import pins_of
from release.conftest import Cli
from release.fleets import CLASSES, N_FRAMES, make_store

HALVES = {"train": 0.5, "test": 0.5}


def store(fleet: Path, name: str) -> SequenceStore:
    return SequenceStore.open(fleet / f"{name}.zarr")


def test_the_same_again_is_the_same_file(fleet: Path) -> None:
    first = create(fleet, "one", Asked())
    text = first.path.read_bytes()
    assert not first.repeated
    assert create(fleet, "one", Asked()).repeated
    assert first.path.read_bytes() == text
    moved = Path(shutil.move(fleet, fleet.with_name("elsewhere")))
    shutil.rmtree(moved / "releases")
    for path in moved.glob("*.zarr/releases"):
        shutil.rmtree(path)
    assert create(moved, "one", Asked()).path.read_bytes() == text
    assert (
        read_manifest(first.path.with_name("one.json").parents[2] / "elsewhere/releases/one.json")
        == first.manifest
    )


def test_places_are_not_parted(fleet: Path) -> None:
    for seed in range(8):
        splits = create(fleet, f"seed-{seed}", Asked(seed=seed, shares=HALVES), anew=True).manifest.splits
        assert splits["b"] == splits["c"]
        assert len(set(splits.values())) == 2
    apart = create(fleet, "apart", Asked(place_m=0), anew=True).manifest
    assert {drive.group for drive in apart.drives.values()} == set("abcdef")


def test_a_new_drive_moves_none(fleet: Path, fleetlabel: Cli) -> None:
    first = create(fleet, "one", Asked(shares=HALVES)).manifest
    make_store(fleet, "aa", 9000.0, seed=20, start_s=-5000)  # earlier than all, and first by name
    second = create(fleet, "two", Asked())
    assert not second.moved
    assert second.manifest.after == {"name": "one", "sha256": first.sha256}
    assert {name: second.manifest.splits[name] for name in first.splits} == first.splits
    assert second.manifest.shares == HALVES
    make_store(fleet, "near", 1080.0, seed=21, start_s=7000)
    third = create(fleet, "three", Asked())
    assert not third.moved
    assert third.manifest.splits["near"] == first.splits["b"]
    _, told, _ = fleetlabel("release", "diff", fleet / "releases/two", fleet / "releases/three.json")
    assert f"added to {first.splits['b']}: near" in told
    assert "moved" not in told


def test_a_drive_that_joins_places_of_two_splits(tmp_path: Path, fleetlabel: Cli) -> None:
    root = tmp_path / "root"
    for seed, (name, east_m) in enumerate({"a": 0.0, "b": 90.0, "c": 700.0, "d": 2000.0}.items()):
        make_store(root, name, east_m, seed=seed, start_s=1000 * seed)
    for seed in range(9):
        first = create(root, f"one-{seed}", Asked(shares=HALVES, seed=seed), anew=True).manifest
        if first.splits["a"] != first.splits["b"]:
            break
    make_store(root, "between", 45.0, seed=9, start_s=9000)
    code, told, _ = fleetlabel("release", "create", root, "two", "--after", first.name, "--json")
    assert code == 0
    found = json.loads(told)
    tested = "a" if first.splits["a"] == "test" else "b"
    other = "b" if tested == "a" else "a"
    assert found["moved"] == [
        {
            "drive": tested,
            "was": "test",
            "now": "train",
            "because": f"between joins its place to that of {other}",
        }
    ]
    second = read_manifest(root / "releases" / "two.json")
    assert second.splits["between"] == second.splits["a"] == second.splits["b"] == "train"
    assert {name: second.splits[name] for name in "cd"} == {name: first.splits[name] for name in "cd"}
    _, told, _ = fleetlabel("release", "diff", root / f"releases/{first.name}", root / "releases/two")
    assert f"moved from test to train: {tested}" in told


def test_what_is_left_out_keeps_its_split(fleet: Path) -> None:
    first = create(fleet, "one", Asked(shares=HALVES)).manifest
    second = create(fleet, "two", Asked(query=Query(name="[abc]"))).manifest
    assert set(second.drives) == set("abc")
    assert second.earlier == {name: first.splits[name] for name in "def"}
    assert create(fleet, "three", Asked()).manifest.splits == first.splits


def test_one_drive_in_parts_and_one_drive_twice_stay_together(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for row in range(3):  # of one vehicle, half a minute apart
        make_store(root, f"part-{row}", None, seed=row, start_s=30 * row, vehicle="van")
    make_store(root, "later", None, seed=4, start_s=30 * 9, vehicle="van")
    make_store(root, "other", None, seed=5, start_s=15, vehicle="bus")
    for name in ("x", "y"):
        make_store(root, name, None, seed=6, start_s=5000, sequence="same")
    drives = create(root, "one", Asked()).manifest.drives
    groups = {
        frozenset(n for n in drives if drives[n].group == group)
        for group in {d.group for d in drives.values()}
    }
    assert groups == {
        frozenset({"part-0", "part-1", "part-2"}), frozenset({"later"}), frozenset({"other"}), frozenset({"x", "y"})
    }  # fmt: skip


def test_boxes_are_those_that_were_asked_for(fleet: Path) -> None:
    release = create(fleet, "cars", Asked(classes=("truck", "car"), min_score=0.4)).manifest
    assert release.classes == ("truck", "car")
    opened = store(fleet, "a")
    labels = ReleasedLabels(opened, "auto", release, "a")
    solid, stored = labels.cuboids(0, N_FRAMES), opened.labels3d("auto")
    wanted = np.isin(stored.class_labels(), ["car", "truck"]) & (stored.score >= 0.4)
    assert wanted.any()
    assert not wanted.all()
    np.testing.assert_array_equal(solid.center_m, stored.center_m[wanted | stored.ignore])
    assert release.drives["a"].boxes["cuboids"] == {
        name: int((stored.class_labels()[wanted] == name).sum())
        for name in ("truck", "car")
        if (stored.class_labels()[wanted] == name).any()
    }
    flat = labels.pictures("front", 0, N_FRAMES)
    everything = opened.labels2d("auto", "front")
    assert flat.ignore.sum() == everything.ignore.sum() > 0, "regions to ignore stay, of whatever class"
    assert flat.class_names == ("truck", "car", *release.ignored_classes)
    assert set(flat.class_labels()[~flat.ignore]) <= {"truck", "car"}


def test_numbers_of_classes_stay(fleet: Path) -> None:
    create(fleet, "one", Asked(classes=("truck", "pedestrian")))
    assert create(fleet, "two", Asked()).manifest.classes == ("truck", "pedestrian", "car", "traffic_cone")


def test_filters_choose_drives(fleet: Path, fleetlabel: Cli) -> None:
    labels = Labels.open(store(fleet, "a"))
    labels.commit([DeleteObject(object_id=int(labels.now.object_ids[0]))], author="ann")
    created = create(fleet, "reviewed", Asked(query=Query(review="in-review")))
    assert set(created.manifest.drives) == {"a"}
    assert created.unsaved == ("a",), "what people said since is in no version"
    save_version(labels)
    assert set(create(fleet, "checked", Asked(query=Query(review="reviewed"))).manifest.drives) == {"a"}
    with pytest.raises(UsageError, match="none of the 6 drives"):
        create(fleet, "none", Asked(query=Query(check="ok")))
    assert fleetlabel("verify", fleet)[0] == 0
    assert set(create(fleet, "ok", Asked(query=Query(check="ok"))).manifest.drives) == set("abcdef")
    assert not verify(store(fleet, "a")), "pins are no strangers"


def test_drives_without_labels_are_told(fleet: Path) -> None:
    shutil.rmtree(fleet / "a.zarr" / "labels" / "auto")
    (fleet / "b.zarr" / "zarr.json").write_text("{")
    created = create(fleet, "one", Asked())
    assert created.left_out["a"] == "has no labels"
    assert created.left_out["b"].startswith("cannot be read")
    assert set(created.manifest.drives) == set("cdef")
    with pytest.raises(UsageError, match=r"none of the 6 drives .*: has no labels people"):
        create(fleet, "two", Asked(labels="people"))


def test_what_changed_is_named(fleet: Path) -> None:
    create(fleet, "one", Asked())
    labels = Labels.open(store(fleet, "a"))
    labels.commit([DeleteObject(object_id=int(labels.now.object_ids[0]))], author="ann")
    version = save_version(labels)
    with pytest.raises(StoreExistsError, match=f"a has labels {version.name} in the place of auto"):
        create(fleet, "one", Asked())
    second = create(fleet, "two", Asked()).manifest
    assert second.drives["a"].labels == version.name
    assert second.drives["b"].labels == "auto"
    make_store(fleet, "new", seed=30)
    with pytest.raises(StoreExistsError, match="new is new"):
        create(fleet, "two", Asked())


def test_neighbours_that_came_are_named(fleet: Path) -> None:
    create(fleet, "one", Asked(query=Query(name="d")))
    make_store(fleet, "new", 5030.0, seed=30, start_s=-9000)
    with pytest.raises(StoreExistsError, match="d is joined with new, was with d"):
        create(fleet, "one", Asked(query=Query(name="d")))


def test_a_manifest_that_was_changed_is_refused(fleet: Path) -> None:
    path = create(fleet, "one", Asked()).path
    text = path.read_text()
    path.write_text(text.replace('"split": "train"', '"split": "test"', 1))
    with pytest.raises(CorruptStoreError, match="was changed since it was written"):
        read_manifest(path)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(UsageError, match="no manifest"):
        read_manifest(path)
    path.write_text("[" * 100_000)
    with pytest.raises(UsageError, match="no manifest"):
        read_manifest(path)
    path.write_text(text.replace('"fleetlabel_release": 1', '"fleetlabel_release": 2'))
    with pytest.raises(UsageError, match="schema 1"):
        read_manifest(path)


def test_what_a_release_uses_stays(fleet: Path) -> None:
    opened = store(fleet, "a")
    before = describe(opened).content_hash
    runs = {"provenance": {"runs": {"track3d": "1"}}, "class_names": CLASSES}
    for name in ("auto-1", "auto-2", "auto-3"):
        opened.write_labels(name, {}, Boxes3D.empty(CLASSES), **runs)  # type: ignore[arg-type]
        if name == "auto-1":
            release = create(fleet, "one", Asked(query=Query(name="a"))).manifest
    assert release.drives["a"].labels == "auto-1"
    assert pins_of(opened.root) == {"one": "auto-1"}
    old = [holding.name for holding in survey(opened, superseded=True) if holding.stage == "labels"]
    assert old == ["auto-2"], "what a release uses is not superseded"
    collect(opened, superseded=True)
    assert "auto-1" in opened.label_versions()
    with pytest.raises(StoreError, match=r"part of releases: one \(labels auto-1\)"):
        SequenceStore.remove(opened.root)
    for delete in (
        lambda **how: delete_drive(opened.root, who="ann", why="asked", **how),
        lambda **how: delete_sensor(opened.root, "rear", who="ann", why="asked", **how),
        lambda **how: delete_frames(
            opened.root, 0, int(opened.info.frame_timestamp_ns[1]), who="a", why="b", **how
        ),
    ):
        with pytest.raises(StoreError, match=r"part of releases: one .*--despite-releases"):
            delete()
    drop(fleet, release)
    assert not pins_of(opened.root)
    assert not list((fleet / "releases").iterdir())
    collect(opened, superseded=True)
    assert "auto-1" not in opened.label_versions()
    assert before != describe(opened).content_hash  # auto-3 came


def test_pins_change_no_content_hash(fleet: Path) -> None:
    before = describe(store(fleet, "a")).content_hash
    create(fleet, "one", Asked())
    assert describe(store(fleet, "a")).content_hash == before


def test_deleting_despite_a_release(fleet: Path, fleetlabel: Cli) -> None:
    create(fleet, "one", Asked())
    why = ("--why", "request 4711", "--yes")
    code, _, told = fleetlabel("delete", fleet, "--drive", "a", *why)
    assert code == 1
    assert "part of releases: one" in told
    assert fleetlabel("delete", fleet, "--drive", "a", *why, "--despite-releases")[0] == 0
    assert fleetlabel("delete", fleet / "b.zarr", "--sensor", "rear", *why, "--despite-releases")[0] == 0
    code, told, _ = fleetlabel("release", "verify", fleet / "releases" / "one")
    assert code == 1
    assert "request 4711" in told
    assert "labels auto are not what was frozen (sensor rear of 0000 was deleted" in told
    assert "6 drives" in told
    assert "2 not as they were frozen" in told


def test_who_dies_before_the_manifest_pins_nothing(fleet: Path) -> None:
    with store(fleet, "d").writer_lock(), pytest.raises(StoreError):
        create(fleet, "one", Asked())
    assert not any(pins_of(path) for path in fleet.glob("*.zarr"))
    assert not (fleet / "releases").exists()
    create(fleet, "one", Asked())


def test_whose_splits_are_kept(fleet: Path) -> None:
    one = create(fleet, "one", Asked(shares=HALVES)).manifest
    create(fleet, "other", Asked(), anew=True)
    with pytest.raises(UsageError, match="say whose splits are kept with --after"):
        create(fleet, "three", Asked())
    with pytest.raises(UsageError, match="there is no release 'zero'"):
        create(fleet, "three", Asked(), after="zero")
    assert create(fleet, "three", Asked(), after="one").manifest.splits == one.splits
    assert create(fleet, "one", Asked(shares=HALVES)).repeated, "later ones do not matter"
    with pytest.raises(UsageError, match="three came after one"):
        drop(fleet, one)


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "x" * 300])
def test_names_that_are_none(fleet: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be named"):
        create(fleet, name, Asked())


def test_a_store_is_no_fleet(fleet: Path) -> None:
    with pytest.raises(UsageError, match="no folder of stores"):
        create(fleet / "a.zarr", "one", Asked())
