from __future__ import annotations

from pathlib import Path

import pytest

from fleetlabel.engine.ingest import list_sequences, open_sequence, recognise
from fleetlabel.engine.ingest.testing import Scene, write_kitti, write_pandaset
from fleetlabel.model.errors import SourceError, UsageError

SMALL = Scene(n_frames=2, n_objects=1)


def test_formats_are_recognised_by_looking(tmp_path: Path) -> None:
    write_pandaset(tmp_path / "a", SMALL)
    write_kitti(tmp_path / "b", SMALL)
    assert recognise(tmp_path / "a").name == "pandaset"
    assert recognise(tmp_path / "b").name == "kitti_tracking"


def test_pandaset_sequences_may_lie_side_by_side(tmp_path: Path) -> None:
    for name in ("002", "001"):
        write_pandaset(tmp_path / "root" / name, SMALL)
    assert list_sequences(tmp_path / "root") == ("001", "002")
    assert open_sequence(tmp_path / "root", "002").info.name == "002"


def test_several_sequences_need_a_choice_and_are_listed(tmp_path: Path) -> None:
    for name in ("0000", "0004"):
        write_kitti(tmp_path, SMALL, sequence=name, pictures=False, velodyne=False)
    with pytest.raises(UsageError, match=r"2 sequences: 0000, 0004"):
        open_sequence(tmp_path)
    with pytest.raises(UsageError, match=r"no sequence '0001'; it has 0000, 0004"):
        open_sequence(tmp_path, "0001")


def test_unknown_folder_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(
        SourceError, match=r"pandaset: camera/.*kitti_tracking: calib/.*Found: it has holiday\.jpg"
    ):
        recognise(tmp_path)


def test_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="it is empty"):
        open_sequence(tmp_path)


def test_a_drive_one_folder_below_is_pointed_out(tmp_path: Path) -> None:
    write_kitti(tmp_path / "training", SMALL, pictures=False, velodyne=False)
    with pytest.raises(SourceError, match=r"training looks like kitti_tracking"):
        recognise(tmp_path)


def test_paths_that_are_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        recognise(tmp_path / "nowhere")
    (tmp_path / "drive.bag").write_bytes(b"")
    with pytest.raises(SourceError, match="is a file"):
        recognise(tmp_path / "drive.bag")
