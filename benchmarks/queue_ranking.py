"""The queue measured: are its first items wrong, is its doubt right, and what is left when it says that it is done.

    python benchmarks/queue_ranking.py --data DIR --work DIR [--iou 0.7] [--fit] [--json FILE]

``DIR`` is laid out like KITTI tracking with others' detections (``det2d_rrc``, ``det3d_pointrcnn``); its sequences are
labelled once, into stores in ``--work``. The weights in ``fleetlabel.labels.ranking`` were fitted (``--fit``) on every
second sequence, and what is printed is of the others, where not said otherwise. The annotator is perfect: a wrong
cuboid is put where the truth is, a box of nothing is deleted, and what is right is accepted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from fleetlabel.engine.ingest import list_sequences
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import Existing, RunConfig
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.geometry.iou import iou_2d, iou_3d
from fleetlabel.labels import Labels, Queue, QueueConfig, ranked_together
from fleetlabel.labels import edits as e
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.evidence import SIGNALS, Evidence, View
from fleetlabel.labels.ranking import IOUS
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.projection import project_at
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore
from fleetlabel.store.sequence import GROUND_TRUTH

RADIUS_M = {"car": 4.0, "pedestrian": 1.5}  # a cuboid further from any truth of its class shows none of it
SILENT = 0.3  # share of a box within a region that the truth says nothing about
RIDGE = 2.0
BY_HAND = ("switch", "few_points")  # signals that KITTI cannot show


def stores(data: Path, work: Path) -> Iterator[tuple[str, SequenceStore]]:
    """Every sequence, labelled once."""
    detections = {"detections2d": data / "det2d_rrc", "detections3d": data / "det3d_pointrcnn"}
    for sequence in list_sequences(data):
        settings = {"out": work / f"{sequence}.zarr", "existing": Existing.RESUME, "workers": 1}
        outcome = pipeline.run(
            data, RunConfig.model_validate({**settings, **detections, "sequence": sequence})
        )
        yield sequence, SequenceStore.open(outcome.store)


class Judge:
    """How right one view's boxes of a sequence are, by its ground truth.

    Attributes:
        camera: whose pictures; "" for cuboids.
        truth: (T, 4 or 7) boxes of it, ``truth_id`` (T,) whose.
        of_object: object -> truth that it shows most, -1 if none.
    """

    def __init__(self, labels: Labels, camera: str) -> None:
        self.labels, self.camera = labels, camera
        self.store = labels.store
        boxes = self._true(labels.now)
        overlap, row, self.known = self.compare(boxes)
        self.boxes, self.overlap = boxes, overlap
        self._known_at = dict(zip(_keys(boxes), self.known.tolist(), strict=True))
        self._truth_at = {
            key: n for n, key in enumerate(zip(self.truth_id.tolist(), self.frame.tolist(), strict=True))
        }
        self.of_object: dict[int, int] = {}
        for object_id in np.unique(boxes.track_id).tolist():
            mine = row[(boxes.track_id == object_id) & (row >= 0)]
            self.of_object[object_id] = int(np.bincount(self.truth_id[mine]).argmax()) if len(mine) else -1

    def _true(self, now: Any) -> Boxes2D | Boxes3D:
        camera = self.camera
        truth = self.store.labels2d(GROUND_TRUTH, camera) if camera else self.store.labels3d(GROUND_TRUTH)
        regions = self.store.labels2d(GROUND_TRUTH, _picture(self.store))
        names = np.char.lower(truth.class_labels())
        self.frame, self.truth_id, self.name = truth.frame.astype(np.int64), truth.track_id, names
        self.truth = _numbers(truth)
        self.region_frame, self.region = regions.frame.astype(np.int64), regions.xyxy_px
        self.region_name = np.char.lower(regions.class_labels())
        found: Boxes2D | Boxes3D = now.boxes2d(camera) if camera else now.boxes3d()
        return found

    def compare(self, boxes: Boxes2D | Boxes3D) -> tuple[F64, I64, Bool]:
        """(N,) overlap with the truth, 0 where there is none; its row, -1; and whether the truth can say at all.

        It cannot of what is outside of the picture, in regions that were not labelled, or of a similar class.
        """
        overlap, row = np.zeros(len(boxes)), np.full(len(boxes), -1, dtype=np.int64)
        known: Bool = np.ones(len(boxes), dtype=np.bool_)
        mine, shown, names = _numbers(boxes), _shown(self.store, boxes), boxes.class_labels()
        for frame in np.unique(boxes.frame).tolist():
            for name in np.unique(names[boxes.frame == frame]).tolist():
                a = np.flatnonzero((boxes.frame == frame) & (names == name))
                b = np.flatnonzero((self.frame == frame) & (self.name == name))
                if len(b) and self.camera:
                    share = iou_2d(mine[a], self.truth[b])
                    near, hit = share.argmax(axis=1), share.max(axis=1) > 0.1
                elif len(b):
                    share = iou_3d(mine[a], self.truth[b])
                    away = np.linalg.norm(mine[a, None, :2] - self.truth[None, b, :2], axis=2)
                    near, hit = away.argmin(axis=1), away.min(axis=1) < RADIUS_M.get(name, 3.0)
                if len(b):
                    overlap[a], row[a[hit]] = share[np.arange(len(a)), near] * hit, b[near[hit]]
                silent = self.region[(self.region_frame == frame) & (self.region_name != name)]
                covered = _covered(shown[a], silent)
                known[a] = np.isfinite(shown[a]).all(axis=1) & ((row[a] >= 0) | (covered < SILENT))
        return overlap, row, known

    def of(self, object_id: int) -> tuple[I64, F64]:
        """Frames of an object, and overlaps of its boxes now; NaN where nothing can be said."""
        if object_id not in self.labels.now.object_ids:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        held = self.labels.now.boxes(object_id)
        boxes = held.pictures.get(self.camera) if self.camera else held.cuboids
        if boxes is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        out, numbers = np.full(len(boxes), np.nan), _numbers(boxes)
        for n, frame in enumerate(boxes.frame.tolist()):
            at = self.truth_row(object_id, frame)
            if at is not None:
                overlap = (iou_2d if self.camera else iou_3d)(numbers[[n]], self.truth[[at]])
                out[n] = overlap[0, 0]
            elif self._known_at.get((object_id, frame), False):
                out[n] = 0.0
        return boxes.frame.astype(np.int64), out

    def truth_row(self, object_id: int, frame: int) -> int | None:
        """Row of the truth that an object should be at a frame."""
        return self._truth_at.get((self.of_object[object_id], frame))

    def mended(self, object_id: int, frame: int) -> list[Edit]:
        """What a perfect annotator does about a wrong box."""
        at = self.truth_row(object_id, frame)
        if at is not None and self.camera:
            x1, y1, x2, y2 = self.truth[at].tolist()
            box = (x1, y1, x2, y2)
            return [e.SetKeyframe2D(object_id=object_id, camera=self.camera, frame=frame, xyxy_px=box)]
        if at is not None:
            x, y, z, length, width, height, heading = self.truth[at].tolist()
            place: dict[str, Any] = {
                "center_m": (x, y, z),
                "yaw_rad": heading,
                "size_lwh_m": (length, width, height),
            }
            return [e.SetKeyframe3D(object_id=object_id, frame=frame, **place)]
        frames, overlap = self.of(object_id)
        if not (overlap > 0.0).any():
            return [e.DeleteObject(object_id=object_id)]
        nothing = np.flatnonzero(overlap != 0.0)
        row = int(np.flatnonzero(frames == frame)[0])
        low = int(frames[nothing[nothing < row].max(initial=-1) + 1])
        after = nothing[nothing > row]
        high = int(frames[after.min() - 1] if len(after) else frames[-1])
        return [e.SetAbsent(object_id=object_id, start=low, stop=high + 1, camera=self.camera)]


# --- fitting ----------------------------------------------------------------------------------------------------------


def fit(rows: list[tuple[F64, F64, F64]], weights: F64 | None = None) -> F64:
    """Offsets for :data:`IOUS`, then weights, none below 0, of the logistic model; signals, overlaps, row weights.

    Args:
        weights: to fit just the offsets.
    """
    x, overlap, weight = (np.concatenate(columns) for columns in zip(*rows, strict=True))
    n, k = len(IOUS), x.shape[1]
    at = np.repeat(np.arange(n), len(x))
    wrong = np.concatenate([overlap < iou for iou in IOUS]).astype(np.float64)
    x, weight = np.tile(x, (n, 1)), np.tile(weight, n) * 2.0 / n

    def loss(b: F64) -> tuple[float, F64]:
        p = 1.0 / (1.0 + np.exp(-x @ b[n:] - b[at]))
        off = weight * (p - wrong)
        worth = weight * (wrong * np.log(p + 1e-12) + (1.0 - wrong) * np.log(1.0 - p + 1e-12))
        slope = np.concatenate([np.bincount(at, off, n), x.T @ off + RIDGE * b[n:]])
        return float(0.5 * RIDGE * (b[n:] ** 2).sum() - worth.sum()), slope

    held = [(0.0, None)] * k if weights is None else [(w, w) for w in weights.tolist()]
    start = np.concatenate([np.zeros(n), np.zeros(k) if weights is None else weights])
    bounds = [(-8.0, 6.0)] * n + [
        (0.0, 0.0) if s in BY_HAND else h for s, h in zip(SIGNALS, held, strict=True)
    ]
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)


def evidence_rows(labels: Labels, camera: str, class_name: str) -> tuple[F64, F64, F64]:
    """Signals, overlaps with the truth and weights of a sequence's boxes of one class; a long track's weigh less."""
    view = View(Evidence(labels.base), camera)
    judge = Judge(labels, camera)
    table = view.table
    signals = view.signals(np.arange(len(table)), table.track_id)
    order = np.lexsort((judge.boxes.frame, judge.boxes.track_id))
    kinds = judge.boxes.class_labels()[order]
    rows = np.flatnonzero(judge.known[order] & (kinds == class_name))
    _, inverse, count = np.unique(table.track_id[rows], return_inverse=True, return_counts=True)
    return signals[rows], judge.overlap[order][rows], 1.0 / np.sqrt(np.maximum(count[inverse], 1))


def print_fit(opened: dict[str, Labels], camera: str) -> None:
    """Prints what goes into ``fleetlabel.labels.ranking``, and how well it does on other sequences."""
    half = {name: labels for n, (name, labels) in enumerate(opened.items()) if n % 2 == 0}
    cars = fit([evidence_rows(labels, camera, "car") for labels in half.values()])
    n = len(IOUS)
    people = fit([evidence_rows(labels, camera, "pedestrian") for labels in opened.values()], cars[n:])
    print(f"{'flat' if camera else 'solid'}: vehicles {cars[:n].round(2)} people {people[:n].round(2)}")
    print(
        "   ", {s: round(float(w), 2) for s, w in zip(SIGNALS, cars[n:], strict=True) if round(float(w), 2)}
    )
    rest = [evidence_rows(labels, camera, "car") for name, labels in opened.items() if name not in half]
    x, overlap, _ = (np.concatenate(columns) for columns in zip(*rest, strict=True))
    for at, iou in enumerate(IOUS):
        p, wrong = 1.0 / (1.0 + np.exp(-x @ cars[n:] - cars[at])), overlap < iou
        print(
            f"    others at {iou}: wrong {wrong.mean():.3f}, expected {p.mean():.3f}, AUC {area_under(p, wrong):.3f}"
        )


def area_under(p: F64, wrong: AnyArray) -> float:
    """Share of pairs of a wrong and a right box of which the wrong one is doubted more."""
    rank = np.empty(len(p))
    rank[np.argsort(p)] = np.arange(len(p))
    n = int(wrong.sum())
    return float((rank[wrong].sum() - n * (n - 1) / 2) / max(n * (len(p) - n), 1))


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one sequence.

    Attributes:
        boxes: that the truth can judge.
        wrong_before, wrong_after: share of them.
        expected_before, expected_after: share of wrong boxes that the queue expected, among all.
        looks, corrections: until the queue said done.
        oracle_corrections: until no box was wrong, the worst first.
    """

    boxes: int
    wrong_before: float
    wrong_after: float
    expected_before: float
    expected_after: float
    looks: int
    corrections: int
    oracle_corrections: int


def first_items(opened: dict[str, Labels], camera: str, iou: float, count: int = 100) -> tuple[int, int]:
    """How many of the first items of all sequences together are wrong, and of how many that can be said."""
    queues = [Queue(labels, iou=iou, views=(camera,)) for labels in opened.values()]
    judges = {queue.labels.store.info.name: Judge(queue.labels, camera) for queue in queues}
    found = []
    for _, item in islice(ranked_together(queues), 2 * count):
        frames, overlap = judges[item.sequence].of(item.object_id)
        value = overlap[frames == item.frame][0]
        if np.isfinite(value):
            found.append(value < iou)
    return int(sum(found[:count])), len(found[:count])


def annotate(
    root: Path, scratch: Path, camera: str, iou: float, config: QueueConfig | None = None
) -> Outcome:
    """Works through the queue of a copy of a store until it says done."""
    labels = _copied(root, scratch)
    judge = Judge(labels, camera)
    state = {object_id: judge.of(object_id)[1] for object_id in judge.of_object}
    before, boxes = _share_wrong(state, iou)
    queue = Queue(labels, iou=iou, views=(camera,), config=config)
    expected, looks, corrections = queue.progress.share, 0, 0
    while not queue.is_done and (items := queue.items(1)):
        item = items[0]
        frames, overlap = judge.of(item.object_id)
        wrong = bool((overlap[frames == item.frame] < iou).any())
        good = e.Accept(object_id=item.object_id, start=item.frame, stop=item.frame + 1)
        labels.commit(judge.mended(item.object_id, item.frame) if wrong else [good], author="annotator")
        looks, corrections = looks + 1, corrections + wrong
        state[item.object_id] = judge.of(item.object_id)[1]
    after, _ = _share_wrong(state, iou)
    oracle = _oracle(root, scratch, camera, iou)
    return Outcome(boxes, before, after, expected, queue.progress.share, looks, corrections, oracle)


def _oracle(root: Path, scratch: Path, camera: str, iou: float) -> int:
    labels = _copied(root, scratch)
    judge, corrections = Judge(labels, camera), 0
    for object_id in judge.of_object:
        for _ in range(200):
            frames, overlap = judge.of(object_id)
            if not (overlap < iou).any():
                break
            labels.commit(judge.mended(object_id, int(frames[np.nanargmin(overlap)])), author="oracle")
            corrections += 1
    return corrections


def _share_wrong(state: dict[int, F64], iou: float) -> tuple[float, int]:
    overlap = np.concatenate(list(state.values()))
    overlap = overlap[np.isfinite(overlap)]
    return float((overlap < iou).mean()) if len(overlap) else 0.0, len(overlap)


def _copied(root: Path, scratch: Path) -> Labels:
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(root, scratch, ignore=shutil.ignore_patterns("journal", "sensors"))
    return Labels.open(SequenceStore.open(scratch))


def _picture(store: SequenceStore) -> str:
    return store.info.of_kind(SensorKind.CAMERA)[0].name


def _numbers(boxes: Boxes2D | Boxes3D) -> F64:
    if isinstance(boxes, Boxes2D):
        return boxes.xyxy_px
    return np.concatenate(
        [boxes.center_m, boxes.size_lwh_m, quaternion.yaw_of(boxes.q_wxyz)[:, None]], axis=1
    )


def _shown(store: SequenceStore, boxes: Boxes2D | Boxes3D) -> F64:
    if isinstance(boxes, Boxes2D) or not len(boxes):
        return boxes.xyxy_px if isinstance(boxes, Boxes2D) else np.zeros((0, 4))
    sensor = store.info.sensor(_picture(store))
    return project_at(
        sensor, store.info.trajectory, boxes, store.info.frame_timestamp_ns[boxes.frame]
    ).xyxy_px


def _covered(xyxy_px: F64, regions: F64) -> F64:
    """(N,) largest share of each box that one region covers."""
    sides = np.minimum(xyxy_px[:, None, 2:], regions[:, 2:]) - np.maximum(
        xyxy_px[:, None, :2], regions[:, :2]
    )
    area = np.prod(xyxy_px[:, 2:] - xyxy_px[:, :2], axis=1)
    share = np.prod(np.maximum(sides, 0.0), axis=2) / np.maximum(area, 1e-6)[:, None]
    return np.asarray(np.nan_to_num(share).max(axis=1, initial=0.0))


def _keys(boxes: Boxes2D | Boxes3D) -> Iterator[tuple[int, int]]:
    return zip(boxes.track_id.tolist(), boxes.frame.tolist(), strict=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder laid out like kitti_tracking_dev")
    parser.add_argument("--work", type=Path, required=True, help="where stores are made and kept")
    parser.add_argument("--iou", type=float, default=0.7, help="overlap below which a box is wrong")
    parser.add_argument("--pictures", action="store_true", help="boxes in pictures instead of cuboids")
    parser.add_argument("--fit", action="store_true", help="fit the weights and print them")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    opened = {name: Labels.open(store) for name, store in stores(arguments.data, arguments.work)}
    camera = _picture(next(iter(opened.values())).store) if arguments.pictures else ""
    if arguments.fit:
        print_fit(opened, camera)
        return
    halves = {"fitted": list(opened)[::2], "others": list(opened)[1::2]}
    report: dict[str, Any] = {}
    for half, names in halves.items():
        wrong, judged = first_items({name: opened[name] for name in names}, camera, arguments.iou)
        report[half] = {"first_items_wrong": wrong, "first_items": judged}
        print(f"{half}: {wrong} of the first {judged} items are wrong")
    for name in halves["others"]:
        with tempfile.TemporaryDirectory(dir=arguments.work) as scratch:
            outcome = annotate(opened[name].store.root, Path(scratch) / "copy.zarr", camera, arguments.iou)
        report[name] = asdict(outcome)
        print(name, {k: round(v, 3) for k, v in report[name].items()})
    outcomes = [report[name] for name in halves["others"]]
    total = {k: sum(o[k] for o in outcomes) for k in ("boxes", "looks", "corrections", "oracle_corrections")}
    total["wrong_after"] = sum(o["boxes"] * o["wrong_after"] for o in outcomes) / max(total["boxes"], 1)
    report["all"] = total
    print("all", {k: round(v, 3) for k, v in total.items()})
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
