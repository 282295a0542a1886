"""A store whose sensors' data is another store's: for work that is to leave no trace in that one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fleetlabel.model.errors import UsageError
from fleetlabel.store.object_path import ObjectPath
from fleetlabel.store.sequence import SequenceStore


def linked_store(store: SequenceStore, root: Path, sensors: Sequence[str]) -> SequenceStore:
    """Makes a store of some sensors of ``store`` that links to their committed parts; there are no runs and no labels.

    Raises:
        UsageError: one of the two is on object storage, where there are no links.
        StoreExistsError: something is at ``root`` already.
    """
    if isinstance(store.root, ObjectPath) or isinstance(root, ObjectPath):
        raise UsageError(f"{store.root} is on object storage; copy it to a local folder first")
    kept = tuple(sensor for sensor in store.info.sensors if sensor.name in sensors)
    made = SequenceStore.create(root, replace(store.info, sensors=kept))
    for sensor in kept:
        data, links = store.sensor_table(sensor.name), made.sensor_table(sensor.name)
        for start, stop in data.ranges():
            links.part_folder(start, stop).symlink_to(data.part_folder(start, stop).resolve())
    return made
