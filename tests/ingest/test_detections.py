from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.ingest import import_detections2d, import_detections3d, open_sequence
from fleetlabel.engine.ingest.testing import Scene, write_kitti, write_pandaset
from fleetlabel.model.boxes import Source
from fleetlabel.model.errors import SourceError, UsageError
from fleetlabel.model.ontology import CLASSES
from fleetlabel.store import SequenceInfo

SCENE = Scene(n_frames=4, n_objects=3)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kitti")
    write_kitti(folder, SCENE, pictures=False, velodyne=False)
    return folder


@pytest.fixture(scope="module")
def info(drive: Path) -> SequenceInfo:
    return open_sequence(drive).info


def write_3d(drive: Path, folder: Path, score: str = "2.5") -> Path:
    """The drive's labels as another detector's results, cars last frame first."""
    rows = []
    for line in (drive / "label_02/0000.txt").read_text().splitlines()[::-1]:
        f = line.split()
        if f[2] == "Car":
            rows.append(",".join([f[0], "2", *f[6:10], score, *f[10:17], f[5]]))
    (folder / "Car").mkdir(parents=True)
    (folder / "Car/0000.txt").write_text("\n".join(rows))
    return folder


def test_cuboids_are_placed_like_the_labels_they_equal(
    drive: Path, info: SequenceInfo, tmp_path: Path
) -> None:
    found = import_detections3d(write_3d(drive, tmp_path / "det"), info)
    truth = open_sequence(drive).ground_truth()
    assert truth is not None
    assert truth.boxes3d is not None
    assert found.frame.tolist() == truth.boxes3d.frame.tolist()
    order = np.lexsort((found.center_m[:, 0], found.frame))
    np.testing.assert_allclose(found.center_m[order], truth.boxes3d.center_m, atol=1e-9)
    assert set(found.class_labels()) == {"car"}
    assert found.class_names == CLASSES
    assert (found.source == Source.DETECTOR).all()
    assert (found.track_id == -1).all()
    assert found.detection[: int((found.frame == 0).sum())].tolist() == list(
        range(int((found.frame == 0).sum()))
    )
    np.testing.assert_allclose(found.score, 1 / (1 + np.exp(-0.9 * (2.5 - 3.2))), rtol=1e-6)


def test_scores_that_are_probabilities_stay(drive: Path, info: SequenceInfo, tmp_path: Path) -> None:
    found = import_detections3d(write_3d(drive, tmp_path / "det", "0.75"), info)
    assert set(found.score.tolist()) == {0.75}


def test_picture_boxes_take_their_class_from_the_folder(info: SequenceInfo, tmp_path: Path) -> None:
    for name, text in {"Car": "1,10,20,30,40,0.9\n0,1,2,3,4,0.5\n", "Pedestrian": "0,5,6,7,8,0.25\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "0000.txt").write_text(text)
    boxes = import_detections2d(tmp_path, info)["image_02"]
    assert boxes.frame.tolist() == [0, 0, 1]
    assert boxes.class_labels().tolist() == ["car", "pedestrian", "car"]
    assert boxes.xyxy_px.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [10, 20, 30, 40]]
    assert boxes.detection.tolist() == [0, 1, 0]
    np.testing.assert_allclose(boxes.score, [0.5, 0.25, 0.9])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,2,1,1,2,2,0.5,1,1,1,0,0,9,0", "line 1: found 14 columns, expected 15"),
        ("0,2,1,1,2,2,high,1,1,1,0,0,9,0,0", "line 1: could not convert"),
        ("0,2,1,1,2,2,nan,1,1,1,0,0,9,0,0", "finite"),
        ("99,2,1,1,2,2,0.5,1,1,1,0,0,9,0,0", r"frame 99, but 0000 has frames 0\.\.3"),
        ("0,7,1,1,2,2,0.5,1,1,1,0,0,9,0,0", r"object types \[7\.0\] are unknown"),
    ],
)
def test_bad_rows_are_named(info: SequenceInfo, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "0000.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        import_detections3d(tmp_path, info)


def test_no_file_for_the_sequence(info: SequenceInfo, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no detections of sequence 0000: expected 0000\.txt"):
        import_detections3d(tmp_path, info)


def test_other_drives_have_no_rectified_camera(tmp_path: Path) -> None:
    write_pandaset(tmp_path / "drive", Scene(n_frames=2, n_objects=1))
    other = open_sequence(tmp_path / "drive").info
    (tmp_path / "drive.txt").write_text("0,2,1,1,2,2,0.5,1,1,1,0,0,9,0,0")
    with pytest.raises(UsageError, match="comes from pandaset"):
        import_detections3d(tmp_path / "drive.txt", other)
    with pytest.raises(UsageError, match="image_02"):
        import_detections2d(tmp_path / "drive.txt", other)


def test_an_empty_file_is_no_detections(info: SequenceInfo, tmp_path: Path) -> None:
    (tmp_path / "0000.txt").write_text("")
    assert len(import_detections3d(tmp_path, info)) == 0


def test_real_detections_lie_on_the_cars(data_dir: Path) -> None:
    source = open_sequence(data_dir / "kitti_tracking_dev", "0004")
    found = import_detections3d(data_dir / "kitti_tracking_dev/det3d_pointrcnn", source.info)
    flat = import_detections2d(data_dir / "kitti_tracking_dev/det2d_rrc", source.info)["image_02"]
    assert set(found.class_labels()) == set(flat.class_labels()) == {"car", "pedestrian"}
    assert 0 < found.score.min() < found.score.max() <= 1
    truth = source.ground_truth()
    assert truth is not None
    assert truth.boxes3d is not None
    cars = truth.boxes3d.take(truth.boxes3d.class_labels() == "Car")
    gaps: list[float] = []
    for frame in range(0, source.info.n_frames, 5):
        theirs = found.center_m[(found.frame == frame) & (found.score > 0.5)]
        clear = (cars.frame == frame) & (cars.occlusion == 0) & (cars.truncation == 0)
        gaps += [
            np.linalg.norm(theirs - center, axis=1).min(initial=np.inf) for center in cars.center_m[clear]
        ]
    assert np.median(gaps) < 0.5
