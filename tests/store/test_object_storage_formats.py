"""Drive logs of every format on object storage: recognised, listed and opened there as they are here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.ingest import list_sequences, open_sequence, recognise
from ingest.argoverse2_drive import write_argoverse2
from ingest.kitti_raw_drive import write_kitti_raw
from ingest.mcap_drive import write_ros2
from ingest.nuscenes_drive import write_nuscenes
from ingest.waymo_drive import write_waymo

WRITERS: dict[str, Callable[[Path], object]] = {
    "nuscenes": write_nuscenes,
    "argoverse2": lambda root: write_argoverse2(root / "7fab2350"),
    "mcap": lambda root: write_ros2(root / "monday.mcap"),
    "waymo": write_waymo,
    "kitti_raw": write_kitti_raw,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_drive_is_the_same_there(
    name: str, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETLABEL_SCRATCH", str(tmp_path / "scratch"))
    local = tmp_path / "drive"
    WRITERS[name](local)
    for file in local.rglob("*"):
        if file.is_file():
            (bucket / "drive" / file.relative_to(local).as_posix()).write_bytes(file.read_bytes())
    there = bucket / "drive"
    assert recognise(there).name == recognise(local).name == name
    assert list_sequences(there) == list_sequences(local)
    here, copied = open_sequence(local), open_sequence(there)
    assert copied.info.source == here.info.source
    for sensor in here.info.sensors:
        part, quarantined = copied.read_sensor(sensor.name, 0, 2)
        assert quarantined == []
        np.testing.assert_array_equal(part.digests(), here.read_sensor(sensor.name, 0, 2)[0].digests())
