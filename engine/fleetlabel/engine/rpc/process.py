"""How the process of an engine is set up: for messages that come and go, and for calls that wait beside work.

A stream of pictures makes and frees some hundred kilobytes a thousand times a second. With glibc's usual settings each
of these is mapped anew, and the system fills every page with zeros before it is written: that takes longer than all the
rest of sending it. So what is freed is kept for the next message.

Work of the pipeline runs in threads of the same interpreter. A call passes it on a few times, and may wait each time
for as long as others may go on: 5 ms, if nobody says otherwise.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

import numpy as np

from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.labels.track_solver import TrackSolver
from fleetlabel.trackers import Detections2D, Detections3D

_TURN_S = 0.0005

# mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_ARENAS = 2
_KEPT_BYTES = 128 << 20  # per arena, at most
_GROWN_BYTES = 8 << 20
_MAPPED_BYTES = 32 << 20  # a larger piece is given back at once; glibc takes no higher number


def keep_freed_memory() -> None:
    """Tells the C library so for the rest of the process; where it is not glibc, nothing changes."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_ARENA_MAX, _ARENAS)
        mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_TOP_PAD, _GROWN_BYTES)


def take_short_turns() -> None:
    """Lets a thread that waits for the interpreter wait for half a millisecond at most."""
    sys.setswitchinterval(_TURN_S)


def warm_solver() -> None:
    """Solves a track that nobody has: compiled code is loaded now, and not while the first edit is waited for."""
    times = np.arange(4, dtype=np.int64) * 100_000_000
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (4, 1))
    solver = TrackSolver(times, Trajectory(times, poses))
    frame, kind, score = np.arange(3, dtype=np.int32), np.zeros(3, dtype=np.int16), np.full(3, 0.9)
    center = np.stack([10.0 + frame, 0.0 * frame, 0.0 * frame], axis=1)
    cuboids = Detections3D(frame, center, np.tile([4.0, 1.8, 1.5], (3, 1)), 0.0 * score, score, kind)
    key = np.array([1], dtype=np.int64)
    solver.cuboids(
        times,
        cuboids,
        np.full(3, 20),
        key,
        np.array([[11.0, 0.5, 0.0, 0.0]]),
        size_lwh_m=None,
        stationary=None,
    )
    boxes = Detections2D(
        frame, np.stack([10.0 + frame, 10.0 + frame, 50.0 + frame, 40.0 + frame], axis=1), score, kind
    )
    solver.pictures(times, boxes, key, np.array([[12.0, 10.0, 52.0, 40.0]]), picture_px=(100, 100))
