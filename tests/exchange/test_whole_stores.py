"""Label versions of stores, out and in again: by the command, between all pairs of formats, with people's keyframes."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from exchange.scenes import LabelsInMemory, random_labels
from fleetlabel.engine.cli.app import main
from fleetlabel.engine.exchange import (
    FORMATS,
    StoredLabels,
    WritableFormat,
    export_labels,
    import_labels,
    read_labels,
    writable_format,
)
from fleetlabel.engine.exchange.certificate import match
from fleetlabel.engine.ingest.testing import Scene, ingest, write_pandaset
from fleetlabel.labels import Labels, save_version
from fleetlabel.labels import edits as e
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import SourceError, StoreExistsError
from fleetlabel.store import Part, SampleStatus, SequenceStore
from labels.scenes import copied_store

WRITABLE = [name for name, format in FORMATS.items() if isinstance(format, WritableFormat)]
# Of which both can carry cuboids, or both boxes in pictures.
PAIRS = [
    (one, two)
    for one, two in itertools.permutations(WRITABLE, 2)
    if any(
        all(writable_format(name).carries.columns(kind) for name in (one, two)) for kind in (Boxes2D, Boxes3D)
    )
]
Command = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def drive_store(tmp_path_factory: pytest.TempPathFactory) -> SequenceStore:
    """A PandaSet drive with cuboids alone; two cameras that expose before the sweep ends."""
    folder = tmp_path_factory.mktemp("drive")
    write_pandaset(folder / "drive", Scene(n_frames=5, n_objects=4))
    return ingest(folder / "drive", folder / "drive.zarr")


@pytest.fixture
def fleetlabel(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["fleetlabel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), said.out + said.err

    return run


@pytest.mark.parametrize("name", WRITABLE)
def test_a_drives_truth_goes_out_and_comes_in(
    name: str, drive_store: SequenceStore, tmp_path: Path, fleetlabel: Command
) -> None:
    root, out = drive_store.root, tmp_path / "out"
    code, said = fleetlabel(
        "export", root, "--format", name, "--out", out, "--labels", "ground_truth", "--json"
    )
    assert code == 0, said
    report = json.loads(said)
    assert report["certificate"]
    for of, found in report["certificate"].items():
        assert found["changed"] == {}
        assert found["came_back"] == found["exported"] or name.startswith("kitti"), of
        # A sweep's cuboids lean in KITTI's camera frames by the cars' own tilt, which is nothing here.
        assert found.get("max_corner_error_m", 0) <= 1e-6
        assert found.get("max_edge_error_px", 0) <= 1e-3
    code, said = fleetlabel("import", root, out, "--format", name, "--json")
    assert code == 0, said
    told = json.loads(said)
    version = drive_store.labels(told["labels"])
    assert version.name.startswith(f"{name}-")
    assert version.provenance["made_by"] == "import"
    assert version.provenance["format"] == name
    assert fleetlabel("import", root, out, "--format", name, "--json") == (
        0,
        said,
    )  # the same files: nothing to do
    solid, truth = drive_store.labels3d(version.name), drive_store.labels3d("ground_truth")
    if told["boxes"].get("cuboids"):
        assert set(solid.track_id.tolist()) <= {-1, *truth.track_id.tolist()}
        if not name.startswith("kitti"):
            partner = match(solid, truth, by_identity=True)
            np.testing.assert_allclose(solid.corners_m(), truth.corners_m()[partner], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_every_pair_of_formats_hands_on_what_both_can_carry(one: str, two: str, tmp_path: Path) -> None:
    labels = random_labels(7, 16, lean=False, classes=("Car", "Pedestrian"))
    first = through(one, labels, tmp_path / "one")
    second = through(two, first, tmp_path / "two")
    both = [writable_format(name).carries for name in (one, two)]
    kinds: list[tuple[str | None, type[Boxes2D] | type[Boxes3D]]] = [(None, Boxes3D), ("front", Boxes2D)]
    for camera, kind in kinds:
        if not all(carries.columns(kind) for carries in both):
            continue
        exact = set(both[0].exact(kind)) & set(both[1].exact(kind))
        mine = boxes_of(second, camera)
        theirs = boxes_of(labels, camera)
        ids = all("track_id" in carries.exact(kind) for carries in both)
        partner = match(mine, theirs, ids)
        known = partner >= 0
        # KITTI's cuboids that no camera sees are left out, and those that stand alone get a box in the picture.
        assert known.all() or "kitti" in one + two
        assert known.any()
        a, b = mine.take(known), partner[known]
        if isinstance(a, Boxes2D) and isinstance(theirs, Boxes2D):
            near = np.abs(a.xyxy_px - theirs.xyxy_px[b]).max(axis=1) <= 1e-3
            assert near.all() or ("kitti" in one + two and not ids)
        if isinstance(a, Boxes3D) and isinstance(theirs, Boxes3D):
            np.testing.assert_allclose(a.corners_m(), theirs.corners_m()[b], rtol=0, atol=1e-6)
            np.testing.assert_allclose(a.size_lwh_m, theirs.size_lwh_m[b], rtol=0, atol=1e-6)
        if ids and "class_id" in exact:
            assert a.class_labels().tolist() == theirs.class_labels()[b].tolist()


def through(name: str, labels: LabelsInMemory, out: Path) -> LabelsInMemory:
    """Labels that went out in a format and came in again."""
    format = writable_format(name)
    format.write(labels, out)
    found = read_labels(format, out, labels.drive)
    solid = Boxes3D.empty(found.class_names) if found.cuboids is None else found.cuboids
    return LabelsInMemory(labels.drive, found.class_names, found.pictures, solid)


def boxes_of(labels: LabelsInMemory, camera: str | None) -> Boxes:
    return labels.boxes3d if camera is None else labels.shown(camera, 0, labels.n_frames)


@pytest.fixture
def edited(tmp_path: Path) -> SequenceStore:
    """A store with a version in which a person put object 1 somewhere in the frames 5 and 12."""
    store = copied_store(tmp_path / "edited.zarr")
    n, times = store.info.n_frames, store.info.frame_timestamp_ns
    for sensor in store.info.sensors:
        status = np.full(n, SampleStatus.MISSING, dtype=np.uint8)
        nothing = {"jpeg": np.empty(0, dtype=np.uint8)}
        part = Part({"timestamp_ns": times, "status": status}, np.zeros(n, dtype=np.int64), nothing)
        store.sensor_table(sensor.name).write(0, part)
    labels = Labels.open(store)
    moves = [
        e.SetKeyframe2D(object_id=1, camera="front", frame=f, xyxy_px=(10.0, 20.0, 50.0 + f, 60.0))
        for f in (5, 12)
    ]
    labels.commit(moves, author="ann")
    save_version(labels, "anns")
    return store


def test_peoples_keyframes_are_cvats_keyframes(edited: SequenceStore, tmp_path: Path) -> None:
    export_labels(StoredLabels(edited, "anns"), writable_format("cvat"), tmp_path / "out", "anns")
    root = ElementTree.parse(tmp_path / "out/drive-front.xml").getroot()
    ids = {track: track.findtext("box/attribute[@name='track_id']") for track in root.iter("track")}
    track = next(track for track, number in ids.items() if number == "1")
    boxes = [box for box in track.iter("box") if box.get("outside") == "0"]
    frames = [int(box.get("frame", "")) for box in boxes]
    keys = {int(box.get("frame", "")) for box in boxes if box.get("keyframe") == "1"}
    assert keys == {frames[0], 5, 12, frames[-1]}
    version, _ = import_labels(edited, writable_format("cvat"), tmp_path / "out")
    mine, theirs = edited.labels2d(version.name, "front"), edited.labels2d("anns", "front")
    mine = mine.take((mine.track_id == 1) & (mine.source == Source.HUMAN))
    assert mine.frame.tolist() == [5, 12]
    assert len(edited.labels2d(version.name, "front")) == len(theirs)


def test_imported_labels_are_refused_and_named_as_others_are(
    drive_store: SequenceStore, tmp_path: Path, fleetlabel: Command
) -> None:
    out = tmp_path / "out"
    export_labels(StoredLabels(drive_store, "ground_truth"), writable_format("coco"), out, "ground_truth")
    code, said = fleetlabel("import", drive_store.root, out, "--format", "coco", "--name", "from_coco")
    assert code == 0 and "labels from_coco" in said
    (out / "drive.json").write_text((out / "drive.json").read_text() + " ")
    with pytest.raises(StoreExistsError, match="choose another name"):
        import_labels(drive_store, writable_format("coco"), out, name="from_coco")
    assert fleetlabel("export", drive_store.root, "--format", "png", "--out", out)[0] == 2
    assert "not exported" in fleetlabel("export", drive_store.root, "-f", "nuscenes-results", "--out", out)[1]
    code, said = fleetlabel("import", drive_store.root, tmp_path / "none.json", "--format", "coco")
    assert code == 1 and "none.json" in said


def test_what_is_lost_is_said_at_the_end(
    drive_store: SequenceStore, tmp_path: Path, fleetlabel: Command
) -> None:
    code, said = fleetlabel(
        "export", drive_store.root, "--format", "yolo", "--out", tmp_path, "--version", "ground_truth"
    )
    assert code == 0, said
    assert "cuboids: lost" in said and "track_id of" in said and "edges within" in said
    report = json.loads((tmp_path / "loss_report.json").read_text())["drive"]
    assert report["labels"] == "ground_truth"
    assert {loss["column"] for loss in report["lost"] if loss["of"] == "cuboids"} == {"all"}


def test_files_without_boxes_are_no_labels(drive_store: SequenceStore, tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(SourceError, match="has no boxes"):
        import_labels(drive_store, writable_format("coco"), tmp_path / "empty.json")
