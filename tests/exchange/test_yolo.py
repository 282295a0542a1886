"""YOLO: the contract for what it can say, what it must not say, and ultralytics' own check of labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from exchange.contract import LabelFormatContract
from exchange.scenes import LabelsInMemory, drive, random_labels
from fleetlabel.engine.exchange import Imported, export_labels, read_labels, writable_format
from fleetlabel.model.boxes import Boxes
from fleetlabel.model.errors import SourceError


class TestYolo(LabelFormatContract):
    format_name = "yolo"

    def pairs(self, labels: LabelsInMemory, again: Imported) -> Iterator[tuple[str | None, Boxes, Boxes]]:
        """Regions to ignore are left out."""
        for camera, mine, theirs in super().pairs(labels, again):
            yield camera, mine, theirs.take(~theirs.ignore)


def write(folder: Path, text: str, names: str = "names: [car, pedestrian]\n") -> Path:
    (folder / "labels/front").mkdir(parents=True)
    (folder / "data.yaml").write_text(names)
    (folder / "labels/front/000003.txt").write_text(text)
    return folder


def test_rows_are_shares_of_the_picture_around_centres(tmp_path: Path) -> None:
    found = read_labels(writable_format("yolo"), write(tmp_path, "1 0.5 0.25 0.1 0.5\n"), drive())
    np.testing.assert_allclose(found.pictures["front"].xyxy_px, [[864, 0, 1056, 540]], atol=1e-9)
    assert found.pictures["front"].class_labels().tolist() == ["pedestrian"]


def test_boxes_are_cut_at_the_edge(tmp_path: Path) -> None:
    labels = random_labels(1)
    boxes = labels.boxes2d["front"]
    labels.boxes2d["front"] = boxes.replace(xyxy_px=boxes.xyxy_px + np.array([-200.0, -100, -200, -100]))
    export_labels(labels, writable_format("yolo"), tmp_path, "made")
    for file in tmp_path.glob("labels/monday_drive/front/*.txt"):
        rows = np.array([[float(value) for value in line.split()] for line in file.read_text().splitlines()])
        assert (rows[:, 1:] >= 0).all()
        assert (rows[:, 1:3] + rows[:, 3:] / 2 <= 1 + 1e-9).all()
        assert (rows[:, 1:3] - rows[:, 3:] / 2 >= -1e-9).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7 0.5 0.5 0.1 0.1\n", "class 7, which"),
        ("0 0.5 0.5 0.1\n", "4 columns"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4 0.4\n", "9 columns"),
        ("0 nan 0.5 0.1 0.1\n", "line 1: column 2 is nan"),
    ],
)
def test_rows_that_make_no_sense_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_labels(writable_format("yolo"), write(tmp_path, text), drive())


def test_a_yaml_bomb_is_refused(tmp_path: Path) -> None:
    # Nine lists of nine, each made of the one before: a few hundred bytes, and gigabytes if printed.
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{after}: &{after} [{','.join(['*' + before] * 9)}]\n"
    with pytest.raises(SourceError, match="names"):
        read_labels(
            writable_format("yolo"), write(tmp_path, "0 0.5 0.5 0.1 0.1\n", bomb + "names: *i\n"), drive()
        )


@pytest.mark.slow
def test_ultralytics_accepts_what_we_write(tmp_path: Path) -> None:
    verify = pytest.importorskip("ultralytics.data.utils", exc_type=ImportError).verify_image_label
    import cv2

    labels = random_labels(2)
    export_labels(labels, writable_format("yolo"), tmp_path, "made")
    picture = tmp_path / "images/monday_drive/front/000002.png"
    picture.parent.mkdir(parents=True)
    cv2.imwrite(str(picture), np.zeros((1080, 1920, 3), dtype=np.uint8))
    file = tmp_path / "labels/monday_drive/front/000002.txt"
    arguments = (str(picture), str(file), "", False, len(labels.class_names), 0, 0, False)
    _, rows, shape, *_, corrupt, message = verify(arguments)
    assert not corrupt, message
    boxes = labels.boxes2d["front"]
    mine = boxes.take((boxes.frame == 2) & ~boxes.ignore)
    centers = (mine.xyxy_px[:, :2] + mine.xyxy_px[:, 2:]) / 2 / (shape[1], shape[0])
    expected = sorted(np.concatenate([mine.class_id[:, None], centers], axis=1).tolist())
    np.testing.assert_allclose(sorted(rows[:, :3].tolist()), expected, atol=1e-6)
