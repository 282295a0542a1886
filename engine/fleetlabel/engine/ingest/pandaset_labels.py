"""PandaSet's cuboids as labels: one identity and one box per object, although two lidars were labelled.

Where the lidars overlap, PandaSet labels each object twice (``cuboids.sensor_id`` 0 spinning, 1
forward-facing; -1 outside of the overlap) and links the two by ``cuboids.sibling_id``. The links are not
always mutual, present in every frame or between equal classes, so identities are joined over the whole
sequence. In a frame with both, the spinning lidar's box is kept: it is the lidar that sees all around, so an
object keeps its reference when it enters the overlap. An object's class is the one that most of its kept
boxes have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.safe_pickle import read_table
from fleetlabel.engine.ingest.source import GroundTruth
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import PANDASET
from fleetlabel.store import Quarantined

_NUMBERS = (
    *("position.x", "position.y", "position.z"),
    *("dimensions.x", "dimensions.y", "dimensions.z", "yaw"),
)
_NO_SIBLING = "-"
# sensor_id -> rank; the lowest of a frame's boxes of one object is kept.
_RANK = {-1: 0, 0: 1, 1: 2}


def read_cuboids(files: Mapping[int, Path], frame_timestamp_ns: I64, world_offset_m: F64) -> GroundTruth:
    """Cuboids of a sequence.

    A box holds at its frame's time. PandaSet's ``dimensions`` are width (x), length (y) and height, its
    ``yaw`` is 0 along +y. Truncation and occlusion are unknown.

    Args:
        files: frame -> pickled table.
        frame_timestamp_ns: (F,).
        world_offset_m: (3,) what is subtracted from positions.
    """
    tables = [_no_rows()]
    quarantined: list[Quarantined] = []
    for frame, path in files.items():
        try:
            if frame >= len(frame_timestamp_ns):
                raise SourceError(f"{path}: the drive has no frame {frame} in its timestamps")
            tables.append(_read(path, frame))
        except SourceError as error:
            quarantined.append(Quarantined(frame, str(error)))
    rows = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    identity, refused = _identities(rows)
    rows = _one_per_object(rows, identity)
    class_names, class_id = _classes(rows)
    boxes = Boxes3D(
        class_names=class_names,
        frame=rows["frame"],
        timestamp_ns=frame_timestamp_ns[rows["frame"]],
        class_id=class_id,
        track_id=rows["track_id"],
        source=np.full(len(class_id), Source.GROUND_TRUTH),
        center_m=rows["numbers"][:, :3] - world_offset_m,
        size_lwh_m=rows["numbers"][:, [4, 3, 5]],
        q_wxyz=quaternion.from_yaw(rows["numbers"][:, 6] + np.pi / 2),
    )
    notes = ["PandaSet's attributes (motion, rider, pedestrian behaviour and age, camera_used) are not kept"]
    if refused:
        notes.append(
            f"{refused} sibling links join objects that one lidar sees side by side and were not followed"
        )
    uuids = [str(uuid) for uuid in _first_uuid(rows)]
    return GroundTruth(class_names, {}, boxes, tuple(quarantined), tuple(notes), {"track_uuids": uuids})


def _no_rows() -> dict[str, AnyArray]:
    text, whole = np.empty(0, dtype=np.str_), np.empty(0, dtype=np.int64)
    numbers = np.empty((0, len(_NUMBERS)))
    return {"numbers": numbers, "uuid": text, "label": text, "sibling": text, "sensor": whole, "frame": whole}


def _read(path: Path, frame: int) -> dict[str, AnyArray]:
    """One frame's rows: ``numbers`` (N, 7 as in _NUMBERS), uuid, label, sibling, sensor and frame."""
    table = read_table(path)
    lacking = [name for name in (*_NUMBERS, "uuid", "label") if name not in table]
    if lacking:
        raise SourceError(f"{path} has no columns {lacking}; restore it from the original log")
    n = len(table["uuid"])
    try:
        numbers = np.stack([table[name].astype(np.float64) for name in _NUMBERS], axis=1)
        sensor = table.get("cuboids.sensor_id", np.full(n, -1)).astype(np.int64)
    except (TypeError, ValueError) as error:
        raise SourceError(f"{path}: a column of numbers holds something else ({error})") from error
    good = np.isfinite(numbers).all(axis=1) & (numbers[:, 3:6] > 0).all(axis=1)
    if not good.all():
        raise SourceError(
            f"{path} row {int(np.argmin(good))}: position, size or yaw is not finite, or a size is not "
            f"positive: {numbers[int(np.argmin(good))].tolist()}; correct or remove the row"
        )
    return {
        "numbers": numbers,
        "uuid": table["uuid"].astype(np.str_),
        "label": table["label"].astype(np.str_),
        "sibling": table.get("cuboids.sibling_id", np.full(n, _NO_SIBLING)).astype(np.str_),
        "sensor": sensor,
        "frame": np.full(n, frame, dtype=np.int64),
    }


def _identities(rows: Mapping[str, AnyArray]) -> tuple[I64, int]:
    """An object number (N,) for every row, and how many links were refused.

    Union-find over the uuids. A link is refused if both sides have a box of the same lidar in one frame:
    those are two objects.
    """
    uuids, which = np.unique(rows["uuid"], return_inverse=True)
    number = {str(uuid): row for row, uuid in enumerate(uuids)}
    parent = list(range(len(uuids)))
    sightings: list[set[tuple[int, int]]] = [set() for _ in uuids]
    for row, frame, sensor in zip(
        which.tolist(), rows["frame"].tolist(), rows["sensor"].tolist(), strict=True
    ):
        sightings[row].add((frame, sensor))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    linked = rows["sibling"] != _NO_SIBLING
    pairs = sorted(set(zip(which[linked].tolist(), rows["sibling"][linked].tolist(), strict=True)))
    refused = 0
    for node, sibling in pairs:
        if sibling not in number:
            continue
        one, other = sorted((root(node), root(number[sibling])))
        if one == other:
            continue
        if sightings[one] & sightings[other]:
            refused += 1
            continue
        parent[other] = one
        sightings[one] |= sightings[other]
    roots = np.array([root(node) for node in range(len(uuids))], dtype=np.int64)
    identity: I64 = roots[which]
    return identity, refused


def _one_per_object(rows: Mapping[str, AnyArray], identity: I64) -> dict[str, AnyArray]:
    """One row per frame and object, in the files' order, with ``track_id`` in order of appearance."""
    rank = np.array([_RANK.get(int(sensor), len(_RANK)) for sensor in rows["sensor"]], dtype=np.int64)
    file_order = np.arange(len(identity))
    best_first = np.lexsort((file_order, rank, identity, rows["frame"]))
    object_in_frame = np.stack([rows["frame"], identity], axis=1)[best_first]
    first = np.ones(len(best_first), dtype=np.bool_)
    first[1:] = (np.diff(object_in_frame, axis=0) != 0).any(axis=1)
    kept = np.sort(best_first[first])
    _, seen_at, inverse = np.unique(identity[kept], return_index=True, return_inverse=True)
    appearance = np.empty(len(seen_at), dtype=np.int64)
    appearance[np.argsort(seen_at)] = np.arange(len(seen_at))
    return {name: column[kept] for name, column in rows.items()} | {"track_id": appearance[inverse]}


def _classes(rows: Mapping[str, AnyArray]) -> tuple[tuple[str, ...], AnyArray]:
    """Class names in PandaSet's order, others after them, and the class (N,) of every row's object."""
    found = sorted({str(label) for label in rows["label"]})
    known = [name for name in PANDASET if name in found]
    class_names = (*known, *(name for name in found if name not in PANDASET))
    if not class_names:
        return tuple(PANDASET), np.empty(0, dtype=np.int16)
    own = np.array([class_names.index(str(label)) for label in rows["label"]], dtype=np.int64)
    votes = np.zeros((int(rows["track_id"].max()) + 1, len(class_names)), dtype=np.int64)
    np.add.at(votes, (rows["track_id"], own), 1)
    return class_names, votes.argmax(axis=1)[rows["track_id"]].astype(np.int16)


def _first_uuid(rows: Mapping[str, AnyArray]) -> AnyArray:
    """The uuid with which each track begins, by track id."""
    _, first = np.unique(rows["track_id"], return_index=True)
    return rows["uuid"][first]
