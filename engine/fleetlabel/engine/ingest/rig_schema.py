"""What may stand in ``rig.yaml``: the description of a rig folder, its checks, and its JSON Schema.

``rig-format.md`` explains the format to people. ``python -m fleetlabel.engine.ingest.rig_schema`` prints the JSON
Schema that editors complete and check with; ``rig.schema.json`` beside the document is kept as it prints it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fleetlabel.engine.ingest.rig_problems import Problem
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64

RIG_FILE = "rig.yaml"
_MAX_YAML_BYTES = 1 << 20
_Row4 = tuple[float, float, float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Placement(_Strict):
    """Where a sensor sits: a rigid transform from its frame to the ego frame, in one of two spellings.

    Attributes:
        translation_m: the sensor's place in the ego frame.
        q_wxyz: its rotation, a unit quaternion.
        matrix: instead of both, the 4x4 transform row by row.
    """

    translation_m: tuple[float, float, float] | None = None
    q_wxyz: _Row4 | None = None
    matrix: tuple[_Row4, _Row4, _Row4, _Row4] | None = None

    @model_validator(mode="after")
    def _one_spelling(self) -> Placement:
        parts = (self.translation_m is not None, self.q_wxyz is not None)
        if (self.matrix is not None) == any(parts) or any(parts) != all(parts):
            raise ValueError("give either matrix, or translation_m and q_wxyz")
        return self

    def ego_from_sensor(self) -> F64:
        """The transform (4, 4); the quaternion is normalised, a matrix is taken as it is."""
        if self.matrix is not None:
            return np.array(self.matrix, dtype=np.float64)
        q_wxyz = np.array(self.q_wxyz, dtype=np.float64)
        norm = float(np.linalg.norm(q_wxyz))
        rotation = quaternion.to_matrix(q_wxyz / norm) if norm > 0 else np.zeros((3, 3))
        return se3.transform(rotation, np.array(self.translation_m, dtype=np.float64))


class Pinhole(_Strict):
    """Pinhole with Brown-Conrady distortion in OpenCV's coefficients."""

    kind: Literal["pinhole"]
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    fx_px: float = Field(gt=0)
    fy_px: float = Field(gt=0)
    cx_px: float
    cy_px: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0


class Fisheye(_Strict):
    """Equidistant fisheye with OpenCV's four coefficients."""

    kind: Literal["fisheye"]
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    fx_px: float = Field(gt=0)
    fy_px: float = Field(gt=0)
    cx_px: float
    cy_px: float
    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0


class Clock(_Strict):
    """Times that follow a rule: sample i is taken at ``start_ns`` and i periods.

    Attributes:
        start_ns: time of the first sample.
        rate_hz: samples per second; without it, which only a video can do, its presentation times count.
    """

    start_ns: int
    rate_hz: float | None = Field(default=None, gt=0)


class Encoding(StrEnum):
    """How the decoded frames of a video are kept: JPEG of quality 95 without chroma subsampling, or lossless PNG."""

    JPEG = "jpeg"
    PNG = "png"


class _Sensor(_Strict):
    name: str
    ego_from_sensor: Placement
    data: str
    timestamps: str | None = None
    clock: Clock | None = None

    @model_validator(mode="after")
    def _one_clock(self) -> _Sensor:
        if (self.timestamps is None) == (self.clock is None):
            raise ValueError("give either timestamps (a file) or clock (start_ns and rate_hz)")
        return self


class CameraEntry(_Sensor):
    """One camera.

    Attributes:
        name: unique in the rig; becomes the sensor's name.
        model: intrinsics.
        ego_from_sensor: extrinsics; a camera looks along its z, x is right and y down.
        data: a folder of pictures, a glob of pictures, or a video file.
        timestamps: a file with the time of every sample.
        clock: instead of it, a rule.
        encode: of a video's frames.
    """

    model: Annotated[Pinhole | Fisheye, Field(discriminator="kind")]
    encode: Encoding = Encoding.JPEG


class LidarEntry(_Sensor):
    """One lidar.

    Attributes:
        name: unique in the rig; becomes the sensor's name.
        ego_from_sensor: extrinsics.
        data: a folder or a glob of .bin, .npy or .pcd files.
        timestamps: a file with the time of every sweep.
        clock: instead of it, a rule.
        columns: names of a .bin's or a plain .npy's columns in order; or, for files that name their columns,
            our name -> the file's.
        motion_compensated: points are already placed as seen from the sensor's pose at the sweep's time. If not, each
            is placed by the ego pose at its own time.
    """

    columns: tuple[str, ...] | dict[str, str] = ()
    motion_compensated: bool = True


class FramesEntry(_Strict):
    """The drive's frames: every sensor has at most one sample in each.

    Attributes:
        reference: the sensor whose times they are.
        timestamps: instead of it, a file of times.
    """

    reference: str | None = None
    timestamps: str | None = None

    @model_validator(mode="after")
    def _one_timeline(self) -> FramesEntry:
        if (self.timestamps is None) == (self.reference is None):
            raise ValueError("give either reference (a sensor) or timestamps (a file)")
        return self


class PosesEntry(_Strict):
    """Ego poses in the world.

    Attributes:
        file: .csv with a header, .npy with named columns, or a text file in TUM's format.
        format: of a file whose ending does not say it.
        columns: names of the columns of a .csv without a header.
        max_extrapolation_ns: how far beyond the poses' ends the motion is continued.
    """

    file: str
    format: Literal["csv", "npy", "tum"] | None = None
    columns: tuple[str, ...] | None = None
    max_extrapolation_ns: int = Field(default=250_000_000, ge=0)


class UnusableFrame(_Strict):
    """A frame whose labels must not be used, and why."""

    frame: int
    reason: str


class LabelsEntry(_Strict):
    """Ground truth.

    Attributes:
        classes: names of the classes in the order of their numbers; by default those found, sorted.
        boxes3d: a .csv of cuboids in the poses' world.
        boxes2d: camera -> .csv of boxes in its pictures.
        unusable: frames whose labels are set aside.
        notes: what a user should know about them.
        provenance: where they come from.
    """

    classes: tuple[str, ...] | None = None
    boxes3d: str | None = None
    boxes2d: dict[str, str] = {}
    unusable: tuple[UnusableFrame, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = {}


class RigEntry(_Strict):
    """The whole of ``rig.yaml``.

    Attributes:
        version: of the format.
        name: of the drive; by default the folder's.
        frames: the drive's timeline.
        cameras, lidars: what measured.
        poses: the vehicle's path, or ``none`` for a vehicle that stands still.
        world_offset_m: what was subtracted from the log's own world coordinates before it was written here.
        labels: ground truth, if there is any.
        origin: where the drive comes from, free form.
    """

    version: Literal[1]
    name: str | None = None
    frames: FramesEntry
    cameras: tuple[CameraEntry, ...] = ()
    lidars: tuple[LidarEntry, ...] = ()
    poses: PosesEntry | Literal["none"]
    world_offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    labels: LabelsEntry | None = None
    origin: dict[str, Any] = {}

    @property
    def sensors(self) -> tuple[CameraEntry | LidarEntry, ...]:
        """Cameras, then lidars."""
        return (*self.cameras, *self.lidars)


def read_rig_file(folder: Path) -> tuple[RigEntry | None, list[Problem]]:
    """``rig.yaml`` of a folder, None if it cannot be used, and everything that is wrong with it."""
    path = folder / RIG_FILE
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_YAML_BYTES + 1)
    except OSError as error:
        found = error.strerror or str(error)
        return None, [Problem(path, "", "a file that can be read", found, "restore it")]
    if len(content) > _MAX_YAML_BYTES:
        found, remedy = f"more than {_MAX_YAML_BYTES >> 20} MiB", "keep times, poses and labels in files"
        return None, [Problem(path, "", "a description of some kB", found, remedy)]
    entry, problems = _parsed(content, path)
    return entry, list(problems)


@lru_cache(maxsize=16)
def _parsed(content: bytes, path: Path) -> tuple[RigEntry | None, tuple[Problem, ...]]:
    """What a file says; recognising, listing and opening a drive each ask for it."""
    try:
        document = yaml.load(content, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = "too deeply nested" if isinstance(error, RecursionError) else " ".join(str(error).split())
        return None, (Problem(path, "", "YAML", said, "correct the syntax there"),)
    try:
        return RigEntry.model_validate(document), ()
    except ValidationError as error:
        return None, tuple(_problem_of(dict(entry), path) for entry in error.errors())


def json_schema() -> str:
    """JSON Schema (draft 2020-12) of ``rig.yaml``, as text."""
    return json.dumps(RigEntry.model_json_schema(), indent=2) + "\n"


class _Loader(yaml.SafeLoader):
    """YAML without what makes small files large, or says one thing twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node that is no alias: a few lines of nested aliases unfold to gigabytes."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(
                "an alias (*name), which this format does not have; write the value out instead"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys differ: of two that are the same, the first would be lost without a word."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"the key {key.value!r} a second time in line {key.start_mark.line + 1}")
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _problem_of(error: Mapping[str, Any], path: Path) -> Problem:
    """What pydantic found wrong, in our words."""
    parts = [part for part in error["loc"] if part not in ("PosesEntry", "pinhole", "fisheye")]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    name = str(parts[-1]) if parts else ""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, sorted(_field_names()), n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it, or see rig-format.md"
        return Problem(path, where, "a field of the format", f"the unknown field {name}", remedy)
    if error["type"] == "missing":
        remedy = (
            "give the file of ego poses, which lifting to 3D and 3D tracking need, or write `poses: none` for a "
            "vehicle that stands still"
            if where == "poses"
            else "add it"
        )
        return Problem(path, where, "a value", "nothing", remedy)
    found = repr(error["input"])
    found = found if len(found) <= 80 else found[:77] + "..."
    expected = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    remedy = "put it in quotes" if error["type"] == "string_type" else "correct it"
    return Problem(path, where, expected, found, remedy)


def _field_names() -> Iterator[str]:
    for kind in (
        Placement, Pinhole, Fisheye, Clock, CameraEntry, LidarEntry, FramesEntry, PosesEntry, LabelsEntry, RigEntry,
        UnusableFrame,
    ):  # fmt: skip
        yield from kind.model_fields


if __name__ == "__main__":
    print(json_schema(), end="")
