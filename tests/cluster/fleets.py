"""Small fleets: KITTI sequences with another detector's boxes, so that a drive takes a second and no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fleetlabel.engine.fleet.root import Ended, FleetRoot
from fleetlabel.engine.ingest.testing import Scene, write_kitti

Fleet = tuple[Path, Path]
"""Folders of the drives and of the boxes that were found in them."""


def write_fleet(folder: Path, n_drives: int, n_frames: int = 6) -> Fleet:
    """KITTI sequences, and the boxes that a detector would find: the true ones."""
    kitti, found = folder / "kitti", folder / "found" / "Car"
    found.mkdir(parents=True)
    for number in range(n_drives):
        name = f"{number:04d}"
        write_kitti(kitti, Scene(n_frames=n_frames, seed=number), sequence=name)
        rows = [line.split() for line in (kitti / "label_02" / f"{name}.txt").read_text().splitlines()]
        lines = [",".join((row[0], *row[6:10], "0.9")) for row in rows if row[2] == "Car"]
        (found / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return kitti, found.parent


def hashes(root: Path) -> dict[str, str]:
    """Content hash of each finished sequence, as the journal has it."""
    return {name: one.content_hash for name, one in FleetRoot(root).ended().items() if one.cause is None}


def finished_lines(root: Path) -> list[str]:
    """Names of sequences in the order in which the journal says they were finished."""
    lines = (root / ".fleet" / "journal.jsonl").read_text().splitlines()
    return [one["name"] for one in map(json.loads, lines) if one["cause"] is None]


class Told:
    """An observer that remembers."""

    def __init__(self, on_end: Callable[[Ended], None] = lambda ended: None) -> None:
        self.begun_with: Any = None
        self.turns: list[Mapping[str, Any]] = []
        self._on_end = on_end

    def begun(self, expected: Any, workplace: Any) -> None:
        self.begun_with = expected

    def turn(self, snapshot: Mapping[str, Any]) -> None:
        self.turns.append(snapshot)

    def ended(self, ended: Ended) -> None:
        self._on_end(ended)
