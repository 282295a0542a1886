"""Which drives must not be parted: those of one place, what one vehicle drove in one go, and the same one twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.fleet.catalogue import Found
from fleetlabel.engine.release.places import Way, connected, joined, way_of
from fleetlabel.geometry.arrays import I64
from fleetlabel.store import SequenceStore, input_hash

# Logs of one vehicle that follow each other so closely were cut from one drive.
_ONE_DRIVE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """A drive of a fleet, in its group.

    Attributes:
        name: of the drive.
        group: name of the earliest drive of its group.
        place: what its way is known in; None if its log does not say where it was.
        input_sha256: of its sensors, poses and calibration.
    """

    name: str
    group: str
    place: str | None
    input_sha256: str


def group_drives(drives: Sequence[Found], place_m: float) -> list[Member]:
    """All drives of a fleet, in their groups.

    Args:
        place_m: drives that came so close to each other are not parted; 0: places do not matter.
    """
    inputs, ways = list[str](), list[Way | None]()
    for one in drives:
        store = SequenceStore.open(one.store)
        inputs.append(input_hash(store))
        ways.append(way_of(store.info, place_m) if place_m else None)
    places = joined(ways, place_m) if place_m else np.arange(len(drives))
    group = _merged(places, _numbered(inputs), _one_drive(drives))
    earliest: dict[int, str] = {}
    for row in sorted(
        range(len(drives)), key=lambda row: (drives[row].entry.start_ns, drives[row].entry.name)
    ):
        earliest.setdefault(int(group[row]), drives[row].entry.name)
    return [
        Member(one.entry.name, earliest[int(number)], None if way is None else way.frame, sha256)
        for one, number, way, sha256 in zip(drives, group, ways, inputs, strict=True)
    ]


def _merged(*groupings: I64) -> I64:
    """Number (N,) of the group of each drive if whoever is together in any of the groupings (N,) is together."""
    n, edges, nodes = len(groupings[0]), [], len(groupings[0])
    for grouping in groupings:
        edges.append(nodes + grouping)
        nodes += int(grouping.max(initial=-1)) + 1
    return connected(nodes, np.tile(np.arange(n), len(groupings)), np.concatenate(edges))[:n]


def _numbered(values: Sequence[str]) -> I64:
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[value] for value in values], dtype=np.int64)


def _one_drive(drives: Sequence[Found]) -> I64:
    """Number (N,) of what a vehicle drove in one go, of which each drive is a part."""
    number = np.arange(len(drives))
    of_vehicle: dict[str, list[int]] = defaultdict(list)
    for row, one in enumerate(drives):
        if one.entry.vehicle:
            of_vehicle[one.entry.vehicle].append(row)
    for rows in of_vehicle.values():
        rows.sort(key=lambda row: drives[row].entry.start_ns)
        first, until_ns = rows[0], drives[rows[0]].entry.stop_ns
        for row in rows[1:]:
            entry = drives[row].entry
            if entry.start_ns > until_ns + _ONE_DRIVE_NS:
                first = row
            number[row] = first
            until_ns = max(until_ns, entry.stop_ns)
    return number
