"""Both KITTI formats keep the contract; what they are known to be got wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from exchange.contract import LabelFormatContract
from exchange.scenes import LabelsInMemory, drive, random_labels
from fleetlabel.engine.exchange import Imported, export_labels, read_labels, writable_format
from fleetlabel.engine.exchange.certificate import match
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import SourceError


class KittiContract(LabelFormatContract):
    lean = False
    unseen = False
    classes = ("Car", "Pedestrian", "Cyclist")

    def pairs(self, labels: LabelsInMemory, again: Imported) -> Iterator[tuple[str | None, Boxes, Boxes]]:
        """Cuboids that stand alone come with the box around their projection, which nobody exported."""
        by_identity = "track_id" in self.format.carries.pictures
        for camera, mine, theirs in super().pairs(labels, again):
            if camera is None:
                yield camera, mine, theirs
                continue
            partner = match(mine, theirs, by_identity)
            distance = np.abs(mine.xyxy_px - theirs.xyxy_px[partner]).max(axis=1)  # type: ignore[attr-defined]
            kept = mine.take((partner >= 0) & (distance < 1e-3))
            added = mine.take(~((partner >= 0) & (distance < 1e-3)))
            solid = labels.cuboids_at(labels.drive.exposure_ns[camera], 0, labels.n_frames)
            seen = labels.seen(camera, solid)
            if by_identity:
                added = added.take(added.track_id >= 0)
                source = match(added, solid, by_identity)
                np.testing.assert_allclose(added.xyxy_px, seen.xyxy_px[source], atol=1e-6)  # type: ignore[attr-defined]
            yield camera, kept, theirs


class TestKittiTracking(KittiContract):
    format_name = "kitti"

    def is_read(self, path: Path) -> bool:
        return path.parent.name == "label_02"


class TestKittiObject(KittiContract):
    format_name = "kitti-object"

    def is_read(self, path: Path) -> bool:
        return path.parent.name == "label_2"


def one_cuboid(**columns: object) -> LabelsInMemory:
    on = drive(n_frames=3)
    pose = on.info.trajectory.world_from_ego[1]
    given = {
        "class_names": ("Car",),
        "frame": np.array([1]),
        "timestamp_ns": on.info.frame_timestamp_ns[[1]],
        "class_id": np.array([0]),
        "center_m": pose[None, :3] + [[0.0, 0, 0]],
        "size_lwh_m": np.array([[4.0, 2.0, 1.5]]),
        "q_wxyz": pose[None, 3:],
        **columns,
    }
    return LabelsInMemory(on, ("Car",), {}, Boxes3D(**given))  # type: ignore[arg-type]


def test_locations_are_bottom_centres_and_sizes_are_h_w_l(tmp_path: Path) -> None:
    labels = one_cuboid()
    # 10 m ahead of the front camera, in the middle of its picture.
    front = labels.drive.info.sensor("front")
    pose = (
        labels.drive.info.trajectory.at(labels.drive.info.frame_timestamp_ns[[1]])[0] @ front.ego_from_sensor
    )
    labels = one_cuboid(center_m=(pose @ np.array([0.0, 0.0, 10.0, 1.0]))[None, :3])
    export_labels(labels, writable_format("kitti"), tmp_path, "made")
    row = (tmp_path / "front/label_02/monday_drive.txt").read_text().split()
    assert row[:3] == ["1", "-1", "Car"]
    np.testing.assert_allclose([float(v) for v in row[10:13]], [1.5, 2.0, 4.0], atol=1e-9)
    # y points down: the bottom is half a height below the centre; the heading along the view is -pi/2.
    np.testing.assert_allclose([float(v) for v in row[13:17]], [0.0, 0.75, 10.0, -np.pi / 2], atol=1e-9)


def test_a_lean_is_told_by_the_certificate(tmp_path: Path) -> None:
    labels = random_labels(1, lean=True, classes=("Car", "Pedestrian"))
    report = export_labels(labels, writable_format("kitti"), tmp_path, "made").report
    assert report["certificate"]["cuboids"]["max_corner_error_m"] > 0.1
    assert any(loss["column"] == "q_wxyz" for loss in report["lost"])


def test_what_was_left_out_is_not_taken_for_what_came_back(tmp_path: Path) -> None:
    # KITTI has no word for cones; rows of its object benchmark have no identity to tell boxes by.
    labels = random_labels(0, 60, lean=False)
    report = export_labels(labels, writable_format("kitti-object"), tmp_path, "made").report
    for camera in ("front", "rear"):
        found, flat = report["certificate"][camera], labels.boxes2d[camera]
        said = flat.ignore | (flat.class_labels() != "traffic_cone")
        assert 0 < said.sum() < len(flat)
        assert found["came_back"] == said.sum()
        assert found["max_edge_error_px"] < 1e-3


def test_results_of_a_detector_are_read(tmp_path: Path) -> None:
    (tmp_path / "000002.txt").write_text(
        "Car -1 -1 -10 10.5 20 110.25 90 1.5 1.6 3.9 2 1.65 20 0.1 0.87\n"
        "DontCare -1 -1 -10 0 0 5 5 -1 -1 -1 -1000 -1000 -1000 -10 1\n"
    )
    found = read_labels(writable_format("kitti-object"), tmp_path, drive(), camera="front")
    assert found.cuboids is not None
    assert (len(found.cuboids), len(found.pictures["front"])) == (1, 2)
    assert found.cuboids.source.tolist() == [Source.DETECTOR]
    assert found.cuboids.score[0] == np.float32(0.87)
    assert found.pictures["front"].ignore.tolist() == [False, True]
    np.testing.assert_array_equal(found.cuboids.size_lwh_m, [[3.9, 1.6, 1.5]])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("99999999999 1 Car 0 0 0 1 1 2 2 1 1 1 1 1 1 1", "line 1 is of frame 99999999999"),
        ("1 1 Car 0 0 0 1 1 2 2 1 1 1 1 1 1", "line 1: found 13 numbers"),
        ("1 1 Car 0 0 0 1 1 nan 2 1 1 1 1 1 1 1", "line 1: column 6 is nan"),
        ("1.5 1 Car 0 0 0 1 1 2 2 1 1 1 1 1 1 1", "expected a whole number"),
        ("1 99999999999999999999 Car 0 0 0 1 1 2 2 1 1 1 1 1 1 1", "line 1"),
        ("x" * 70_000, "longer than"),
    ],
)
def test_rows_that_make_no_sense_are_named(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "monday_drive.txt").write_text(row + "\n")
    with pytest.raises(SourceError, match=message):
        read_labels(writable_format("kitti"), tmp_path / "monday_drive.txt", drive(), camera="front")


def test_exposure_after_the_frame_moves_cuboids_along_their_tracks(tmp_path: Path) -> None:
    on = drive(n_frames=6, late_ns=40_000_000)
    frame = np.arange(6)
    place = on.info.trajectory.world_from_ego
    labels = LabelsInMemory(
        on,
        ("Car",),
        {},
        Boxes3D(
            class_names=("Car",),
            frame=frame,
            timestamp_ns=on.info.frame_timestamp_ns,
            class_id=np.zeros(6),
            track_id=np.full(6, 7),
            center_m=place[:, :3] + np.stack([8 + 2.0 * frame, 0.5 * frame, 0 * frame], axis=1),
            size_lwh_m=np.tile([4.0, 2.0, 1.5], (6, 1)),
            q_wxyz=place[:, 3:],
        ),
    )
    report = export_labels(labels, writable_format("kitti"), tmp_path, "made").report
    again = read_labels(writable_format("kitti"), tmp_path, on)
    assert again.cuboids is not None and len(again.cuboids)
    np.testing.assert_array_equal(again.cuboids.timestamp_ns, on.exposure_ns["front"][again.cuboids.frame])
    # Compared at the time of exposure, where the cuboid is on its way to the next one.
    assert (
        report["certificate"]["cuboids"]["max_corner_error_m"] < 0.5
    )  # only the lean between two tilted poses
    assert isinstance(labels.shown("front", 0, 6), Boxes2D)
