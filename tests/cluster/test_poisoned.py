"""A fleet of many small logs, some of them poisoned in different ways: the rest is complete, the failures exact."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.fleets import Fleet, hashes, write_fleet
from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.fleet.status import look
from fleetlabel.engine.pipeline.config import load_config

# `make soak` sets it to 200: then a log in twenty is poisoned.
LOGS = int(os.environ.get("FLEETLABEL_SOAK_LOGS", "24"))


def overwrite(content: bytes) -> Callable[[Path], None]:
    """Poison: other bytes. The file is replaced, as others share its bytes."""

    def change(file: Path) -> None:
        file.unlink()
        file.write_bytes(content)

    return change


def cut(file: Path) -> None:
    """Poison: the end is missing."""
    overwrite(file.read_bytes()[:-7])(file)


# Where the poison is, what it is, and what of the log fails or is set aside; {name} is the log's.
POISON: dict[str, tuple[str, Callable[[Path], None], str, int]] = {
    "no calibration": ("kitti/calib/{name}.txt", Path.unlink, "calib/{name}.txt", 0),
    "no numbers": ("kitti/calib/{name}.txt", overwrite(b"P2: what is this\n"), "calib/{name}.txt", 0),
    "cut poses": ("kitti/ego_pose/{name}.json", cut, "ego_pose/{name}.json", 0),
    "poses of something": ("kitti/ego_pose/{name}.json", overwrite(b"{}"), "ego_pose/{name}.json", 0),
    "torn boxes": ("found/Car/{name}.txt", overwrite(b"0,1,2\n"), "Car/{name}.txt", 0),
    "no text": ("found/Car/{name}.txt", overwrite(b"\xff\xfe\x00"), "Car/{name}.txt", 0),
    "no picture": ("kitti/image_02/{name}/000001.png", overwrite(b"this is no picture"), "", 1),
    "empty picture": ("kitti/image_02/{name}/000001.png", overwrite(b""), "", 1),
    "cut sweep": ("kitti/velodyne/{name}/000000.bin", cut, "", 1),
    "missing sweep": ("kitti/velodyne/{name}/000000.bin", Path.unlink, "", 0),
}


def write_logs(folder: Path) -> Fleet:
    """Logs that share their files."""
    kitti, found = write_fleet(folder, 1, n_frames=2)
    for number in range(1, LOGS):
        name = f"{number:04d}"
        for file in ("calib/{}.txt", "label_02/{}.txt", "ego_pose/{}.json"):
            os.link(kitti / file.format("0000"), kitti / file.format(name))
        os.link(found / "Car" / "0000.txt", found / "Car" / f"{name}.txt")
        for sensor in ("image_02", "velodyne"):
            shutil.copytree(kitti / sensor / "0000", kitti / sensor / name, copy_function=os.link)
    return kitti, found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_rest_is_complete_and_the_failures_are_exact(tmp_path: Path) -> None:
    kitti, found = write_logs(tmp_path)
    step = LOGS // len(POISON)
    poisoned = {f"{1 + step * number:04d}": kind for number, kind in enumerate(POISON)}
    failing, quarantined = {}, {}
    for name, kind in poisoned.items():
        place, poison, complaint, n_quarantined = POISON[kind]
        poison(tmp_path / place.format(name=name))
        if complaint:
            failing[f"kitti-{name}"] = complaint.format(name=name)
        elif n_quarantined:
            quarantined[f"kitti-{name}"] = n_quarantined
    settings = {"out": tmp_path / "out", "detections2d": found, "workers": 2, "fleet.threads": True}
    outcome = run_fleet([kitti], load_config(None, settings))

    assert {name for group in outcome.failures for name in group.names} == set(failing)
    told = {entry["sequence"] for entry in json.loads((outcome.failed_list or Path()).read_text())}
    assert {f"kitti-{name}" for name in told} == set(failing)
    assert (outcome.sequences, outcome.done) == (LOGS, LOGS - len(failing))
    ended = look(tmp_path / "out")
    assert (ended.done, ended.failed, ended.waiting, len(ended.unfinished)) == (
        outcome.done,
        len(failing),
        0,
        0,
    )
    assert outcome.quarantined == sum(quarantined.values())
    by_name = {
        line["name"]: line
        for line in map(json.loads, (tmp_path / "out/.fleet/journal.jsonl").read_text().splitlines())
    }
    assert {name: line["quarantined"] for name, line in by_name.items() if line["quarantined"]} == quarantined
    for name, complaint in failing.items():
        assert complaint in by_name[name]["reason"]
    sound = {f"kitti-{number:04d}" for number in range(LOGS) if f"{number:04d}" not in poisoned}
    assert hashes(tmp_path / "out").keys() == by_name.keys() - failing.keys()
    assert len({by_name[name]["boxes"] for name in sound}) == 1, "logs of the same bytes have the same labels"
