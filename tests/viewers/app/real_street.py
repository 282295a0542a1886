"""The real sample's ground truth with one mistake each, as labels of the same drive."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest import list_sequences, open_sequence, write_ground_truth
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.sensors import SensorFrames
from viewers.app.mistakes import (
    EDGE_PX,
    FRAMES,
    MIDDLE,
    NAMES,
    THINGS,
    Street,
    mistaken_cuboids,
    mistaken_pictures,
    seen_boxes,
)

_FEWEST_POINTS = 60


def read_drive(folder: Path, root: Path) -> SequenceStore:
    """The drive as a store, with its ground truth."""
    source = open_sequence(folder, list_sequences(folder)[0])
    store = SequenceStore.create(root, source.info)
    for sensor in source.info.sensors:
        part, quarantined = source.read_sensor(sensor.name, 0, source.info.n_frames)
        store.sensor_table(sensor.name).write(0, part, quarantined=quarantined)
    write_ground_truth(store, source)
    return store


def make_street(store: SequenceStore) -> Street:
    """Writes the label version ``machine`` into a store of the real sample; where things really are."""
    truth = store.labels3d("ground_truth")
    cars = _cars(truth)
    cloud = SensorFrames(store).cloud(MIDDLE).world_m
    ego = store.info.trajectory.at(store.info.frame_timestamp_ns)[MIDDLE][:3, 3]
    seen = {n: _points_in(boxes[MIDDLE], cloud) for n, boxes in cars.items()}
    ways = {n: _way(boxes) for n, boxes in cars.items()}
    near = sorted(cars, key=lambda n: float(np.linalg.norm(np.array(cars[n][MIDDLE].center_m) - ego)))
    parked = [n for n in near if ways[n] < 0.05 and seen[n] >= _FEWEST_POINTS]
    moving = [n for n in near if ways[n] > 5.0 and seen[n] >= _FEWEST_POINTS]
    cameras = tuple(sensor.name for sensor in store.info.of_kind(SensorKind.CAMERA))
    edge, edge_camera = _well_seen(store, cars, parked, cameras)
    flat, flat_camera = _well_seen(store, cars, [n for n in parked if n != edge], cameras)
    taken: dict[str, int] = {"edge": edge, "flat": flat, "split": moving[0]}
    # What is drawn anew should be seen well, and have nothing right beside it.
    free = [n for n in parked if n not in taken.values()]
    alone = sorted(free, key=lambda n: -min(_gap(cars, n, m) for m in cars if m != n))
    taken["face"] = next(n for n in alone if _front_seen(cars[n][MIDDLE], cloud))
    taken["drifting"] = next(n for n in alone if n not in taken.values() and seen[n] > 150)
    free = [n for n in parked if n not in taken.values()]
    one, two = min(combinations(free, 2), key=lambda pair: _gap(cars, *pair))  # both on one screen
    taken |= {"swapped": one, "swapped too": two}
    left = iter([n for n in free if n not in (one, two)])
    beside = ("late", "dying early", "misnamed", "twice")
    for name in beside:
        taken[name] = next(left)
    # What is missing is on the screen with one of these.
    away = {
        n: min((_gap(cars, n, taken[name]), name) for name in beside)
        for n in alone
        if _whole(cars[n][MIDDLE], cloud)
    }
    taken["missing"] = min((n for n in away if n not in taken.values()), key=lambda n: away[n])
    left = iter([n for n in left if n != taken["missing"]])
    for name in THINGS:
        if name not in taken:
            taken[name] = next(left)
    poses = {name: tuple(cars[number][f] for f in range(FRAMES)) for name, number in taken.items()}
    others = {100 + n: boxes for n, boxes in cars.items() if n not in taken.values()}
    front = next(name for name in cameras if name in ("front", "front_camera"))
    street = Street(poses, edge_camera, flat_camera, front, others, away[taken["missing"]][1], 0.7)
    solid = mistaken_cuboids(street, store.info.frame_timestamp_ns)
    flat2d = mistaken_pictures(street, store.info, cameras, solid)
    store.write_labels("machine", flat2d, solid, class_names=NAMES, provenance={"made of": "ground truth"})
    return street


def _cars(truth: Boxes3D) -> dict[int, dict[int, BoxPose]]:
    """Cars that are labelled in all frames, by track."""
    cars = {}
    for number in np.unique(truth.track_id).tolist():
        rows = np.flatnonzero(truth.track_id == number)
        if len(rows) == FRAMES and str(truth.class_labels()[rows[0]]) in ("Car", "Pickup Truck"):
            cars[number] = {int(truth.frame[row]): BoxPose.of_row(truth, row) for row in rows.tolist()}
    return cars


def _points_in(box: BoxPose, cloud: np.ndarray) -> int:
    return int(_inside(box, cloud).sum())


def _inside(box: BoxPose, cloud: np.ndarray) -> np.ndarray:
    return np.all(np.abs(box.local(cloud)) <= 0.5 * np.array(box.size_lwh_m), axis=1)


def _front_seen(box: BoxPose, cloud: np.ndarray) -> bool:
    """Whether the sweep has points on the front."""
    ahead = box.local(cloud)[_inside(box, cloud), 0]
    return len(ahead) > 100 and float(np.percentile(ahead, 98)) > box.size_lwh_m[0] / 2 - 0.12


def _whole(box: BoxPose, cloud: np.ndarray) -> bool:
    """Whether the sweep has points along nearly all of its length."""
    ahead = box.local(cloud)[_inside(box, cloud), 0]
    return len(ahead) > 150 and float(np.ptp(np.percentile(ahead, (2, 98)))) > 0.85 * box.size_lwh_m[0]


def _way(boxes: dict[int, BoxPose]) -> float:
    return float(np.linalg.norm(np.array(boxes[FRAMES - 1].center_m) - boxes[0].center_m))


def _gap(cars: dict[int, dict[int, BoxPose]], one: int, two: int) -> float:
    a, b = cars[one][MIDDLE].center_m, cars[two][MIDDLE].center_m
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _well_seen(
    store: SequenceStore, cars: dict[int, dict[int, BoxPose]], among: list[int], cameras: tuple[str, ...]
) -> tuple[int, str]:
    """A car that is large and whole in a picture, and the camera."""
    for number in among:
        poses = tuple(cars[number][frame] for frame in range(FRAMES))
        for camera in cameras:
            model = store.info.sensor(camera).camera
            assert model is not None
            boxes, visible = seen_boxes(poses, store.info, camera)
            x1, y1, x2, y2 = boxes[MIDDLE].tolist()
            inside = visible[MIDDLE] and x1 > 20 and x2 < model.width_px - EDGE_PX - 20
            if inside and y1 > 10 and y2 < model.height_px - 10 and y2 - y1 > 60:
                return number, camera
    raise AssertionError("no car is seen well")
