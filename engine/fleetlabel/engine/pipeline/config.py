"""Everything a run can be told: one validated configuration, from flags, from ``run.yaml``, or from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fleetlabel.engine.detect import DetectConfig
from fleetlabel.engine.detect.bundled import named_weights
from fleetlabel.engine.lift import LiftConfig
from fleetlabel.model.errors import UsageError
from fleetlabel.store.object_path import place_of
from fleetlabel.trackers import Smooth2DConfig, Smooth3DConfig, Tracker2DConfig, Tracker3DConfig

_FRAMES_PER_TASK, _MOST_FRAMES_PER_TASK = 32, 128
_TASKS_PER_WORKER = 4


class TrackConfig(BaseModel):
    """Settings of tracking and of the offline pass after it; units are in the fields' names.

    The offline pass keeps shorter and weaker tracks of cuboids than the trackers' own defaults do: for a person who
    corrects labels, a false track is one key to delete, a missing one is a box to draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracker2d: Tracker2DConfig = Tracker2DConfig()
    tracker3d: Tracker3DConfig = Tracker3DConfig()
    smoother2d: Smooth2DConfig = Smooth2DConfig()
    smoother3d: Smooth3DConfig = Smooth3DConfig(min_detections=2, min_mean_score=0.3, min_evidence=1.0)


class Existing(StrEnum):
    """What to do where the output exists already."""

    REFUSE = "refuse"
    RESUME = "resume"
    OVERWRITE = "overwrite"


class FleetConfig(BaseModel):
    """Settings of a run over many drives.

    Attributes:
        cluster: address or scheduler file of a Dask cluster; None: workers of this machine.
        threads: workers of this machine are threads of this process, not processes.
        detect_needs: resources that a worker must offer for detection, for example ``{"GPU": 1}``.
        wait_for_workers_s: how long a cluster may take until its first worker is there.
        open_sequences: sequences that are worked on at the same time; by default as many as keep workers busy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: str | None = None
    threads: bool = False
    detect_needs: dict[str, float] = {}
    wait_for_workers_s: float = Field(default=10.0, ge=0)
    open_sequences: int | None = Field(default=None, ge=1)


class RunConfig(BaseModel):
    """Settings of a whole run.

    Attributes:
        out: the store; s3://bucket/... is on object storage.
        existing: what to do if it exists already.
        sequence: which of the source's sequences; may be left out if there is only one.
        model: YOLO weights (``.pt``, ``.onnx``, OpenVINO folder, ``.engine``), or ``synthetic``, the bundled ones.
        detections2d: instead of a model: folder with another detector's 2D boxes (KITTI tracking detections).
        detections3d: instead of lifting: folder with another detector's cuboids (KITTI detection format).
        labels: name of the label version; by default named after the run.
        checks: whether drives are checked when they are ingested.
        chunk_frames: frames per task; by default as :meth:`frames_per_task` says. Labels do not depend on it.
        workers: tasks at once; by default one per core.
        detect, lift, track: settings of the stages.
        fleet: of a run over many drives; ``out`` is then the folder for their stores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path | None = None
    existing: Existing = Existing.REFUSE
    sequence: str | None = None
    model: Path | None = None
    detections2d: Path | None = None
    detections3d: Path | None = None
    labels: str | None = None
    checks: bool = True
    chunk_frames: int | None = Field(default=None, ge=1)
    workers: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)
    detect: DetectConfig = DetectConfig()
    lift: LiftConfig = LiftConfig()
    track: TrackConfig = TrackConfig()
    fleet: FleetConfig = FleetConfig()

    def frames_per_task(self, n_pictures: int = 0) -> int:
        """Frames of a task, if nothing is configured.

        Args:
            n_pictures: of the sequence, for stages that go camera by camera: their tasks are longer as long as every
                worker gets several, since to commit what a task made takes as long as a picture or two.
        """
        if self.chunk_frames is not None:
            return self.chunk_frames
        return max(
            _FRAMES_PER_TASK, min(_MOST_FRAMES_PER_TASK, n_pictures // (_TASKS_PER_WORKER * self.workers))
        )

    @field_validator("out")
    @classmethod
    def _place(cls, out: Path | None) -> Path | None:
        return None if out is None else place_of(out)

    @field_validator("model", mode="before")
    @classmethod
    def _bundled(cls, model: object) -> object:
        return named_weights(model)


def load_config(file: Path | None, flags: Mapping[str, Any]) -> RunConfig:
    """The configuration of a YAML file, with flags (dotted names, None: not given) taking precedence.

    Raises:
        UsageError: the file cannot be read, or a setting is unknown or out of range; says which.
    """
    settings: dict[str, Any] = {}
    if file is not None:
        try:
            loaded = yaml.safe_load(file.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"cannot read the configuration {file}: {error}") from error
        if loaded is not None and not isinstance(loaded, dict):
            raise UsageError(
                f"{file} holds a {type(loaded).__name__}, expected settings like `chunk_frames: 32`"
            )
        settings = loaded or {}
    merged = _merged(RunConfig().model_dump(), settings, f"{file}: ")
    for dotted, value in flags.items():
        if value is not None:
            *sections, name = dotted.split(".")
            target = merged
            for section in sections:
                target = target[section]
            target[name] = value
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        complaints = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{file or 'the options'}: {complaints}") from error


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``base`` with some settings changed; complains of a setting that nobody reads.

    A slip of the pen must not run for hours with the default.
    """
    unknown = [name for name in changes if name not in base]
    if unknown:
        raise UsageError(f"{where}unknown setting {unknown[0]}; expected one of {sorted(base)}")
    merged = dict(base)
    for name, value in changes.items():
        if isinstance(base[name], dict) and base[name]:
            if not isinstance(value, dict):
                raise UsageError(
                    f"{where}{name} holds {value!r}, expected settings like {next(iter(base[name]))}: ..."
                )
            value = _merged(base[name], value, f"{where}{name}: ")
        merged[name] = value
    return merged
