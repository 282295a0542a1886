"""What editor processes do in tests; here and not in the tests, so that a new process can import it."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from fleetlabel.labels import Leases
from fleetlabel.labels import edits as e
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.store import SequenceStore
from labels.scenes import FRAMES, TRACKS, open_labels

_PAUSE_S = 0.003  # or the journal becomes too long to be looked at again and again


def edit_until_killed(root: Path, author: str, seed: int, told: Connection) -> None:
    """Commits random keyframes and new objects; tells each request id before and after it was saved.

    Now and then a request is made again, as after an answer that was lost.
    """
    if os.environ.get("FLEETLABEL_SYNC") != "1":
        os.fsync = lambda handle: None  # type: ignore[assignment]
    rng = np.random.default_rng(seed)
    labels = open_labels(root)
    told.send(("ready", "", 0))
    for number in range(1_000_000):
        request = f"{author}-{seed}-{number}"
        edits = _some_edits(rng, labels.new_id())
        told.send(("asked", request, 0))
        for _ in range(1 + int(rng.random() < 0.2)):
            commit = labels.commit(edits, author=author, request_id=request)
            while not commit.saved:
                commit = labels.commit(edits, author=author, request_id=request)
        assert commit.record is not None
        told.send(("saved", request, commit.record.sequence))
        time.sleep(rng.exponential(_PAUSE_S))


def take_leases(root: Path, person: str) -> list[int]:
    """Asks for every object from 1 to 30; those that the person got."""
    leases = Leases(SequenceStore.open(root))
    return [object_id for object_id in range(1, 31) if leases.take(object_id, person)]


def _some_edits(rng: np.random.Generator, new_id: int) -> list[Edit]:
    x, y = rng.uniform(-20, 20, 2).tolist()
    pose = {"frame": int(rng.integers(FRAMES)), "center_m": (x, y, 0.5), "yaw_rad": 0.0}
    if rng.random() < 0.3:
        create = e.CreateObject(object_id=new_id, class_name="car")
        return [create, e.SetKeyframe3D(object_id=new_id, **pose)]
    return [e.SetKeyframe3D(object_id=int(rng.integers(1, TRACKS + 1)), **pose)]
