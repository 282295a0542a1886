"""KITTI's label rows as text and back, and its calibration files; what both benchmarks' formats share.

Sizes are h w l; locations are the middle of the bottom face in the rectified camera frame; ``rotation_y`` turns about
its y axis. :mod:`fleetlabel.engine.ingest.kitti_labels` holds the arithmetic. Numbers are written to 1e-9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fleetlabel.engine.exchange.contract import BLOCK_ROWS, Block, Carries, Reading, exactly
from fleetlabel.engine.exchange.kitti_rows import KittiRows, ego_from_rect, kitti_rows
from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.engine.exchange.rows import block, frame_column, refuse_classes
from fleetlabel.engine.ingest.files import numbers
from fleetlabel.engine.ingest.kitti_calib import KittiCalib
from fleetlabel.engine.ingest.kitti_labels import (
    DONT_CARE,
    HWL,
    LOCATION,
    OCCLUDED,
    ROTATION_Y,
    TRUNCATED,
    XYXY,
    world_boxes,
)
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.model.boxes import Source
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import KITTI
from fleetlabel.model.sensors import SensorKind

_N_NUMBERS = 14
_CLASSES = "KITTI's words; what it has none for is left out"

# Of both benchmarks; ids and truncation differ.
PICTURES = exactly(
    "xyxy_px",
    "occlusion",
    "ignore",
    class_id=_CLASSES,
    score="the cuboid's, where there is one of the same track",
)
CUBOIDS = exactly(
    "center_m",
    "size_lwh_m",
    "score",
    class_id=_CLASSES,
    q_wxyz="the heading as the camera sees it; what leans is set upright in its frame",
    timestamp_ns="moved along the track to the picture's exposure",
    occlusion="the picture box's, where there is one of the same track",
    truncation="likewise",
)
NOTES = (
    "a cuboid without a box in the picture gets the box around its projection, or is left out where the camera sees "
    "nothing of it",
    "regions to ignore lose class and identity",
    "lens distortion is not in KITTI's calibration",
)


def formatted(rows: KittiRows, heads: Iterable[str], truncation: AnyArray, scored: bool) -> str:
    """Lines of a label file: heads (what stands before the class), then KITTI's columns."""
    columns = [rows.alpha[:, None], rows.xyxy_px, rows.hwl_m, rows.location_m, rows.rotation_y[:, None]]
    columns += [rows.score[:, None]] if scored else []
    values = np.concatenate(columns, axis=1)
    line = "%s%s %s %d" + " %.9f" * values.shape[1] + "\n"
    names, occlusion = rows.name.tolist(), rows.occlusion.tolist()
    return "".join(
        line % (head, name, cut, hidden, *row)
        for head, name, cut, hidden, row in zip(
            heads, names, truncation.tolist(), occlusion, values.tolist(), strict=True
        )
    )


def row_blocks(labels: Labels, camera: str, left_out: Counter[str]) -> Iterator[KittiRows]:
    """All rows of one camera, in blocks of whole frames; counts classes that KITTI has no word for."""
    for (rows,) in labels.read_blocks(lambda start, stop: (kitti_rows(labels, camera, start, stop),)):
        left_out.update(rows.left_out)
        yield rows


class KittiParser:
    """Lines of label files, gathered and handed on as boxes in the world and in pictures."""

    def __init__(self, reading: Reading, camera: str) -> None:
        self._reading, self._camera = reading, camera
        self._heads: list[tuple[int, int, str, str]] = []
        self._values: list[list[float]] = []
        self._scored = False

    def add(self, where: str, frame: int, track_id: int, fields: Sequence[str]) -> None:
        """A row: the class, then KITTI's numbers, and a score in results.

        Raises:
            SourceError: it has other columns, or something that is no finite number.
        """
        name, *rest = fields or ("",)
        if len(rest) not in (_N_NUMBERS, _N_NUMBERS + 1):
            raise SourceError(
                f"{where}: found {len(rest)} numbers after the class, expected {_N_NUMBERS}, or one more with a score"
            )
        values = numbers(list(rest), where, len(rest))
        self._scored |= len(rest) > _N_NUMBERS
        self._heads.append((frame, track_id, name, where))
        self._values.append(values if len(rest) > _N_NUMBERS else [*values, 1.0])

    def full(self) -> bool:
        """Whether there are enough rows for a block."""
        return len(self._heads) >= BLOCK_ROWS

    def blocks(self) -> Iterator[Block]:
        """What was gathered."""
        if not self._heads:
            return
        values: F64 = np.array(self._values)
        frames, track_ids, names, wheres = zip(*self._heads, strict=True)
        self._heads, self._values = [], []
        frame = frame_column(frames, wheres, str, self._reading)
        order = np.argsort(frame, kind="stable")
        class_names = (*KITTI, DONT_CARE, *sorted(set(names) - {*KITTI, DONT_CARE}))
        refuse_classes(wheres[0], len(class_names))
        place = {name: row for row, name in enumerate(class_names)}
        ignore = np.array([name == DONT_CARE for name in names], dtype=np.bool_)[order]
        values = values[order]
        common: dict[str, AnyArray] = {
            "frame": frame[order],
            "class_id": np.array([place[name] for name in names], dtype=np.int16)[order],
            "track_id": np.where(ignore, -1, np.array(track_ids, dtype=np.int64)[order]),
            "score": values[:, -1],
            "source": np.full(len(frame), Source.DETECTOR if self._scored else Source.UNKNOWN),
            "truncation": np.where(values[:, TRUNCATED] < 0, np.nan, values[:, TRUNCATED]),
            "occlusion": np.clip(values[:, OCCLUDED], -1, 127).astype(np.int8),
        }
        pictures = common | {"xyxy_px": values[:, XYXY], "ignore": ignore}
        yield block(self._reading, self._camera, class_names, pictures)
        solid = ~ignore & (values[:, HWL] > 0).all(axis=1)
        if solid.any():
            cuboids = {name: column[solid] for name, column in common.items()}
            cuboids |= self._placed(values[solid], frame[order][solid])
            yield block(self._reading, None, class_names, cuboids, view=self._camera)

    def _placed(self, values: F64, frame: AnyArray) -> dict[str, AnyArray]:
        drive = self._reading.drive
        exposed_ns = drive.exposure_ns[self._camera][frame]
        world_from_rect = drive.info.trajectory.at(exposed_ns) @ ego_from_rect(drive, self._camera)
        placed = world_boxes(world_from_rect, values[:, HWL], values[:, LOCATION], values[:, ROTATION_Y])
        columns = dict(zip(("center_m", "size_lwh_m", "q_wxyz"), placed, strict=True))
        return columns | {"timestamp_ns": exposed_ns}


def format_calib(drive: Drive, camera: str) -> str:
    """The text of a calibration file; numbers read back exactly."""
    if "calib" in drive.info.source:
        calib = KittiCalib.from_dict(drive.info.source["calib"])
        projections = dict(calib.projections)
        rect_from_velo, velo_from_imu = calib.rect_from_velo, calib.velo_from_imu
    else:
        sensor = drive.info.sensor(camera)
        assert sensor.camera is not None
        projection = np.concatenate([sensor.camera.matrix, np.zeros((3, 1))], axis=1)
        projections = {f"P{k}": projection for k in range(4)}
        lidars = drive.info.of_kind(SensorKind.LIDAR)
        ego_from_velo = lidars[0].ego_from_sensor if lidars else np.eye(4)
        rect_from_velo, velo_from_imu = (
            se3.invert(sensor.ego_from_sensor) @ ego_from_velo,
            se3.invert(ego_from_velo),
        )
    matrices = {
        **{f"{name}:": matrix for name, matrix in sorted(projections.items())},
        "R_rect": np.eye(3),
        "Tr_velo_cam": rect_from_velo[:3],
        "Tr_imu_velo": velo_from_imu[:3],
    }
    return "".join(f"{name} {_numbers(matrix)}\n" for name, matrix in matrices.items())


def told(drive: Drive, camera: str, left_out: Counter[str]) -> list[str]:
    """What KITTI could not say of one camera's labels, in words."""
    lines = [
        f"{camera}: {count} boxes of class {lost} left out: KITTI has no word for it"
        for lost, count in sorted(left_out.items())
    ]
    model = drive.info.sensor(camera).camera
    if not (isinstance(model, PinholeCamera) and not any((model.k1, model.k2, model.p1, model.p2, model.k3))):
        lines.append(f"{camera}: its lens distortion was left out: KITTI's calibration cannot carry it")
    return lines


def carries(truncation: str, *identity: str) -> Carries:
    """What a KITTI format carries: see :data:`PICTURES` and :data:`CUBOIDS`."""
    return Carries(
        pictures=PICTURES | exactly(*identity) | {"truncation": truncation},
        cuboids=CUBOIDS | exactly(*identity),
        notes=NOTES,
    )


def _numbers(matrix: F64) -> str:
    return " ".join(repr(float(value)) for value in matrix.reshape(-1))
