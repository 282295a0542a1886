"""Finding drives: every filter against the drives themselves, an index that may be lost, and several who ask."""

from __future__ import annotations

import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_care.conftest import Cli
from fleetlabel.engine.fleet.catalogue import Query, find
from fleetlabel.engine.fleet.deleting import delete_drive
from fleetlabel.engine.fleet.indexing import Entry, entry_of, from_json, to_json
from fleetlabel.engine.fleet.places import distance_m, from_utm
from fleetlabel.labels import Labels, save_version
from fleetlabel.labels.edits import CreateObject
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.errors import StoreNotFoundError, UsageError
from fleetlabel.store import SequenceStore
from store.drives import boxes2d, drive

SECOND_NS = 1_000_000_000
FIRST_NS = 1_557_539_924 * SECOND_NS


def cars(tracks: list[int]) -> Boxes3D:
    """A car in frame 0 for each track."""
    n = len(tracks)
    return Boxes3D(
        class_names=("car", "pedestrian"),
        frame=np.zeros(n, dtype=np.int32),
        timestamp_ns=np.zeros(n, dtype=np.int64),
        class_id=np.zeros(n, dtype=np.int16),
        track_id=np.array(tracks),
        center_m=np.zeros((n, 3)),
        size_lwh_m=np.ones((n, 3)),
        q_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three drives: van 1 in Berlin, van 2 without labels on a UTM grid, and one that says nothing of itself."""
    root = tmp_path / "root"
    (root / ".fleet").mkdir(parents=True)
    (root / ".fleet" / "manifest.json").write_text('{"schema": 1, "members": []}')
    at = {"latitude_deg": 52.52, "longitude_deg": 13.405}
    berlin = {"format": "rig", "origin": {"vehicle": "van 1", **at}}
    store = SequenceStore.create(root / "a.zarr", drive(name="monday", source=berlin))
    store.write_labels(
        "auto", {"front": boxes2d(4)}, cars([1, 1, 2]), class_names=("car", "pedestrian"), provenance={}
    )
    later = drive().frame_timestamp_ns + 100 * SECOND_NS
    utm = {"format": "rig", "origin": {"vehicle": "van 2", "utm_zone": "32N"}}
    place = np.array([500_000.0, 0.0, 0.0])
    info = drive(name="tuesday", source=utm, world_offset_m=place)
    SequenceStore.create(root / "b.zarr", info)
    SequenceStore.create(
        root / "c.zarr", drive(name="wednesday", frame_timestamp_ns=later, cameras=("rear",), lidars=())
    )
    return root


def names(root: Path, **query: object) -> list[str]:
    return [one.entry.name for one in find(root, Query(**query)).found]  # type: ignore[arg-type]


def test_every_filter(root: Path) -> None:
    assert names(root) == ["a", "b", "c"]
    assert names(root, name="mon*") == names(root, name="a") == ["a"]
    assert names(root, vehicle="van *") == ["a", "b"]
    assert names(root, start_ns=FIRST_NS + 2 * SECOND_NS) == ["c"]
    assert names(root, stop_ns=FIRST_NS) == []
    assert names(root, start_ns=FIRST_NS + SECOND_NS, stop_ns=FIRST_NS + SECOND_NS + 1) == ["a", "b"]
    assert names(root, classes=("car",)) == ["a"]
    assert names(root, classes=("car", "bus")) == []
    entry = find(root, Query(name="a")).found[0].entry
    assert entry.objects is not None
    assert entry.objects["car"] >= 2
    assert names(root, least_objects={"car": entry.objects["car"]}) == ["a"]
    assert names(root, least_objects={"car": entry.objects["car"] + 1}) == []
    assert entry.boxes is not None
    assert sum(entry.boxes.values()) == 7
    assert names(root, least_boxes={"car": entry.boxes["car"]}) == ["a"]
    assert names(root, review="unlabelled") == ["b", "c"]
    assert names(root, quarantined=True) == []
    assert names(root, quarantined=False) == ["a", "b", "c"]
    assert entry.cameras + entry.lidars == ("front", "left", "top")
    assert (entry.start_ns, entry.frames, entry.format) == (FIRST_NS, 12, "rig")


def test_places(root: Path) -> None:
    answer = find(root, Query(near=(52.52, 13.405, 5.0)))
    assert [one.entry.name for one in answer.found] == ["a"]
    assert answer.placeless == ("c.zarr",)
    # The drive goes 11 m east and 1.1 m north; 100 m further east it was never.
    assert names(root, near=(52.52, 13.405 + 100 / 67_700, 85.0)) == []
    assert names(root, near=(52.52, 13.405 + 100 / 67_700, 92.0)) == ["a"]
    assert names(root, box=(52.5, 13.4, 52.6, 13.5)) == ["a"]
    assert names(root, box=(-1.0, 8.9, 1.0, 9.1)) == ["b"]
    assert names(root, box=(-90.0, -180.0, 90.0, 180.0)) == ["a", "b"]
    assert names(root, box=(-1.0, 170.0, 1.0, -170.0)) == []
    for name in ("a", "b"):
        shutil.rmtree(root / f"{name}.zarr")
    with pytest.raises(UsageError, match="says where on Earth"):
        names(root, near=(52.52, 13.405, 5.0))


def test_people_and_checks(root: Path, fleetlabel: Cli) -> None:
    store = SequenceStore.open(root / "a.zarr")
    assert names(root, review="unreviewed") == ["a"]
    labels = Labels.open(store)
    labels.commit([CreateObject(object_id=labels.new_id(), class_name="car")], author="ann")
    assert names(root, review="in-review") == ["a"]
    save_version(labels)
    assert names(root, review="reviewed") == ["a"]
    assert names(root, check="unchecked") == ["a", "b", "c"]
    chunk = next((root / "b.zarr" / "ego").rglob("c.0.0"))
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    assert fleetlabel("verify", root, "--workers", 1)[0] == 1
    assert names(root, check="ok") == ["a", "c"]
    labels.commit([CreateObject(object_id=labels.new_id(), class_name="car")], author="ann")
    assert names(root, check="ok") == ["c"], "what was checked is not what there is now"
    (root / "c.zarr" / "zarr.json").write_bytes(b"{")
    answer = find(root, Query())
    assert "c.zarr" in answer.unreadable
    assert "c" not in [one.entry.name for one in answer.found]


def test_the_index_reads_what_changed_and_may_be_lost_at_any_time(root: Path) -> None:
    def read() -> int:
        count = []
        find(root, Query(), lambda: count.append(1))
        return len(count)

    index = root / ".fleet" / "catalogue.sqlite"
    assert (read(), read()) == (3, 0)
    before = find(root, Query())
    SequenceStore.open(root / "c.zarr").write_labels("x", {}, cars([1]), class_names=("car",), provenance={})
    assert (read(), read()) == (1, 0)
    assert names(root, classes=("car",)) == ["a", "c"]
    shutil.rmtree(root / "c.zarr")
    assert names(root) == ["a", "b"]
    index.unlink()
    assert find(root, Query()).found == before.found[:2]
    index.write_bytes(b"this is no database" * 100)
    assert find(root, Query()).found == before.found[:2]
    with sqlite3.connect(index) as other:
        other.execute("PRAGMA user_version = 99")
    assert find(root, Query()).found == before.found[:2]
    delete_drive(root / "a.zarr", who="ann", why="asked")
    assert b"van 1" not in index.read_bytes(), "not even in the index is anything left"
    assert names(root) == ["b"]


@pytest.mark.slow
def test_several_may_ask_at_once(root: Path) -> None:
    for number in range(3):
        shutil.copytree(root / "a.zarr", root / f"copy{number}.zarr")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: find(root, Query(classes=("car",))).found, range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 4


def test_without_a_place_for_the_index_and_without_stores(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / ".fleet")
    assert names(root) == ["a", "b", "c"]
    assert not (root / ".fleet").exists()
    with pytest.raises(StoreNotFoundError):
        find(tmp_path / "nothing", Query())


def test_the_command(root: Path, fleetlabel: Cli) -> None:
    code, printed, errors = fleetlabel(
        "find", root, "--class", "car", "--min", "car=2", "--near", "52.52,13.405,9"
    )
    assert code == 0
    assert "1 of 3 drives" in printed
    assert "van 1" in printed
    assert "1 drives do not say where" in errors
    code, printed, _ = fleetlabel(
        "find", root, "--from", "2019-05-11T01:58:44Z", "--to", "2019-05-12", "--json"
    )
    found = json.loads(printed)["found"]
    assert [one["store"] for one in found] == [str(root / f"{name}.zarr") for name in "abc"]
    for wrong in (["--near", "here"], ["--min", "car"], ["--from", "once"], ["--review", "perhaps"]):
        assert fleetlabel("find", root, *wrong)[0] == 2


def test_entries_survive_the_index(root: Path) -> None:
    for name in "abc":
        entry = entry_of(root / f"{name}.zarr")
        assert from_json(to_json(entry)) == entry
    assert from_json(to_json(Entry("x", problem="gone"))) == Entry("x", problem="gone")


# --- places on Earth ------------------------------------------------------------------------------------------------


def meridian_arc_m(latitude_deg: float) -> float:
    """By numerical integration over the ellipsoid."""
    a, f = 6_378_137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    phi = np.radians(latitude_deg) / 2 * (nodes + 1)
    arc = a * (1 - e2) / (1 - e2 * np.sin(phi) ** 2) ** 1.5
    return float(np.radians(latitude_deg) / 2 * (weights @ arc))


@settings(max_examples=30)
@given(st.floats(-80, 80), st.integers(1, 60))
def test_the_central_meridian_is_true_to_scale(latitude: float, zone: int) -> None:
    north = 0.9996 * meridian_arc_m(latitude) + (10_000_000.0 if latitude < 0 else 0.0)
    found = from_utm(np.array([[500_000.0, north]]), zone, south=latitude < 0)[0]
    assert found == pytest.approx([latitude, 6 * zone - 183], abs=1e-9)


@settings(max_examples=30)
@given(st.floats(-300_000, 300_000), st.floats(100_000, 8_000_000))
def test_the_projection_is_conformal(east: float, north: float) -> None:
    """With the true scale on its meridian, that makes it the transverse Mercator projection and no other."""
    step = 50.0
    around = np.array([[0, 0], [step, 0], [-step, 0], [0, step], [0, -step]])
    points = around + np.array([500_000 + east, north])
    latitude, longitude = np.radians(from_utm(points, 31)).T
    e2 = (f := 1 / 298.257223563) * (2 - f)
    w2 = 1 - e2 * np.sin(latitude[0]) ** 2
    per_radian = 6_378_137.0 * np.array([(1 - e2) / w2**1.5, np.cos(latitude[0]) / w2**0.5])
    along_east = per_radian * [latitude[1] - latitude[2], longitude[1] - longitude[2]]
    along_north = per_radian * [latitude[3] - latitude[4], longitude[3] - longitude[4]]
    assert along_east == pytest.approx([-along_north[1], along_north[0]], abs=2e-5)


def test_distances() -> None:
    way = np.array([[0.0, 179.999], [0.0, -179.999]])
    assert distance_m(way, 0.001, 180.0) == pytest.approx(111.2, abs=0.1)
    assert distance_m(way[:1], 0.0, 179.998) == pytest.approx(111.2, abs=0.1)
