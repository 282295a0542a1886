"""What is to be done for one sequence, from its source to its labels; each step plans what the store still lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest import GROUND_TRUTH, SequenceSource, open_sequence, write_ground_truth
from fleetlabel.engine.pipeline.config import Existing, RunConfig
from fleetlabel.engine.pipeline.detecting import SettledDetector, plan_detect
from fleetlabel.engine.pipeline.labelling import plan_track
from fleetlabel.engine.pipeline.lifting import plan_lift
from fleetlabel.engine.pipeline.tasks import Task
from fleetlabel.model.errors import StoreExistsError, UsageError
from fleetlabel.model.names import name_problem
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import Quarantined, SampleStatus, SequenceStore
from fleetlabel.store.groups import read_group


def open_store(source: Path, config: RunConfig) -> tuple[SequenceStore, SequenceSource]:
    """A source, and its store: created, unless it is there and may be resumed.

    Raises:
        SourceError: the log cannot be read.
        UsageError: ``source`` holds several sequences and none was named, or the store was made from another one.
        StoreError: the store exists (unless resumed or overwritten) or cannot be written.
    """
    out = config.out
    if out is None:
        raise UsageError("nothing says where the store goes; give --out STORE, for example --out drive.zarr")
    drive = open_sequence(source, config.sequence)
    check_place(out, source)
    if config.existing is Existing.OVERWRITE:
        SequenceStore.remove(out)
    if config.existing is Existing.RESUME and out.exists():
        store = SequenceStore.open(out)
        if not store.was_made_from(drive.info):
            raise UsageError(f"{out} was not made from {source} ({drive.info.name}); give its own --out")
        return store, drive
    return SequenceStore.create(out, drive.info), drive


def finish_ingest(
    store: SequenceStore, drive: SequenceSource, warnings: list[str]
) -> list[tuple[str, Quarantined]]:
    """Writes the source's ground truth once everything else of it is committed, and looks for gaps.

    Args:
        warnings: what the user should know is appended.

    Returns:
        (table, sample) whose labels cannot be used.
    """
    set_aside: list[tuple[str, Quarantined]] = []
    truth = write_ground_truth(store, drive)
    if truth is not None:
        warnings.extend(truth.notes)
        set_aside += [(f"labels/{GROUND_TRUTH}", entry) for entry in truth.quarantined]
    for sensor in store.info.sensors:
        status = store.sensor_table(sensor.name).read(columns=("status",)).samples["status"]
        missing = np.flatnonzero(status == SampleStatus.MISSING)
        if len(missing):
            warnings.append(
                f"{sensor.name}: no data in {len(missing)} of {len(status)} frames, first in frame {missing[0]}"
            )
    for lidar in store.info.of_kind(SensorKind.LIDAR):
        dropped = store.sensor_table(lidar.name).read(columns=("dropped_points",)).samples["dropped_points"]
        if dropped.any():
            warnings.append(
                f"{lidar.name}: {dropped.sum()} points in {np.count_nonzero(dropped)} sweeps are not finite and "
                f"were left out, first in frame {int(np.argmax(dropped > 0))}"
            )
    return set_aside


def plan_labels(
    store: SequenceStore, config: RunConfig, warnings: list[str], settled: SettledDetector | None = None
) -> tuple[str, list[Task]]:
    """Everything from detection to a label version: its name, and what is to be done.

    Args:
        warnings: what the user should know is appended.
        settled: the configured weights, if they were settled for many stores.

    Raises:
        UsageError: a setting does not fit.
        ModelFileError: the weights cannot be used.
        StoreExistsError: the name that labels were to have is taken.
    """
    detected, detecting = plan_detect(store, config, warnings, settled)
    lifted, lifting = plan_lift(store, config, detected, detecting, warnings)
    labels, tracking = plan_track(store, config, detected, lifted, [*detecting, *lifting])
    refuse_taken_name(store, labels, tracking)
    return labels, [*detecting, *lifting, *tracking]


def check_labels_name(config: RunConfig) -> None:
    """Complains of a name for labels now, not after hours of work.

    Raises:
        UsageError: it cannot be used.
    """
    if config.labels is None:
        return
    problem = name_problem(config.labels)
    if config.labels == GROUND_TRUTH:
        problem = "is that of labels that came with a drive"
    if problem:
        raise UsageError(
            f"labels cannot be named {config.labels!r}: the name {problem}; choose another --labels"
        )


def refuse_taken_name(store: SequenceStore, labels: str, tasks: Sequence[Task]) -> None:
    """Complains if labels of that name were made with other settings.

    Raises:
        StoreExistsError: they were.
    """
    if labels in store.label_versions() and any(task.stage == "labels" for task in tasks):
        raise StoreExistsError(
            f"{store.root} already has labels named {labels!r}, made with other settings; "
            "choose another --labels"
        )


def check_place(out: Path, source: Path) -> None:
    """Nothing is written into a drive log, which is only read, nor into another store, which it would damage.

    Raises:
        UsageError: ``out`` lies in one of them.
    """
    place = out.resolve()
    if place.is_relative_to(source.resolve()):
        raise UsageError(
            f"{out} lies in the drive log {source}, which is only read; choose an --out elsewhere"
        )
    for above in place.parents:
        if "schema" in (read_group(above) or {}):
            raise UsageError(f"{out} lies in another store, {above}; choose an --out elsewhere")
