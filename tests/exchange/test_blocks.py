"""Labels are written in blocks; what is written does not depend on where they are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exchange.scenes import LabelsInMemory, drive, random_labels
from fleetlabel.engine.exchange import FORMATS, WritableFormat, export_labels, read_labels, writable_format
from fleetlabel.engine.exchange import labels as reading
from fleetlabel.model.boxes import Boxes2D, Boxes3D

WRITABLE = [name for name, format in FORMATS.items() if isinstance(format, WritableFormat)]


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("pictures", [True, False])
def test_files_do_not_depend_on_blocks(
    name: str, pictures: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cameras expose later than frames are, so that what a block needs of its neighbours matters, too."""
    labels = random_labels(4, 60, on=drive(n_frames=25, late_ns=30_000_000), pictures=pictures)
    export_labels(labels, writable_format(name), tmp_path / "whole", "made")
    for setting, value in (("_AIM", 4), ("_FIRST_FRAMES", 1), ("_TRACKS_AIM", 7)):
        monkeypatch.setattr(reading, setting, value)
    export_labels(labels, writable_format(name), tmp_path / "pieces", "made")
    if name != "parquet":  # a file per block
        assert files(tmp_path / "pieces") == files(tmp_path / "whole")
        return
    whole, pieces = (
        read_labels(writable_format(name), tmp_path / each, labels.drive) for each in ("whole", "pieces")
    )
    assert whole.cuboids is not None and pieces.cuboids is not None
    for column in Boxes3D.column_names():
        if column != "class_id":
            np.testing.assert_array_equal(getattr(whole.cuboids, column), getattr(pieces.cuboids, column))


def test_tracks_come_whole_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_TRACKS_AIM", 9)
    labels = random_labels(4, 60)
    blocks = list(labels.picture_tracks("front"))
    assert len(blocks) > 2
    ids = [track for block in blocks for track in set(block.track_id.tolist()) - {-1}]
    assert len(ids) == len(set(ids))
    assert sum(len(block) for block in blocks) == len(labels.boxes2d["front"])


def test_without_labels_there_is_nothing_to_compare(tmp_path: Path) -> None:
    on = drive()
    labels = LabelsInMemory(on, ("car",), {"front": Boxes2D.empty(("car",))}, Boxes3D.empty(("car",)))
    for name in WRITABLE:
        report = export_labels(labels, writable_format(name), tmp_path / name, "none").report
        assert report["lost"] == []
        assert all(found["exported"] == 0 for found in report["certificate"].values())
