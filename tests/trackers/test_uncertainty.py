"""Stated 90 % intervals of smoothed boxes hold the truth of synthetic tracks, whose offsets last."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.trackers import (
    Detections2D,
    Detections3D,
    Status,
    Tracker2D,
    Tracker3D,
    Tracks2D,
    smooth_tracks_2d,
    smooth_tracks_3d,
)

N_FRAMES, N_OBJECTS = 40, 60
TIMES = np.arange(N_FRAMES, dtype=np.int64) * 100_000_000
MOST_HELD = 0.98  # jitter is independent here, as it never is: intervals may be somewhat wide
HALF_WIDTH = 1.6449  # of a normal distribution's central 90 %, in standard deviations


def smoothed_2d(jitter: float, gap: range = range(0)) -> tuple[Tracks2D, F64]:
    """Boxes that drive apart from each other, seen with an offset each and with jitter; rows and truth."""
    rng = np.random.default_rng(5)
    size = rng.uniform(30.0, 120.0, (N_OBJECTS, 2))
    start = np.stack([300.0 * np.arange(N_OBJECTS), np.full(N_OBJECTS, 200.0)], axis=1)
    frame = np.repeat(np.arange(N_FRAMES), N_OBJECTS)
    centre = start[None] + 3.0 * np.arange(N_FRAMES)[:, None, None] * np.array([1.0, 0.2])
    truth = np.concatenate([centre - size / 2, centre + size / 2], axis=2)
    scale = np.sqrt(size.prod(axis=1))[:, None]
    lasting = np.hypot(0.03 * np.tile(size, 2), 1.7 * jitter * scale) * rng.normal(size=(N_OBJECTS, 4))
    found = truth + lasting + jitter * scale * rng.normal(size=truth.shape)
    keep = ~np.isin(frame, gap)
    detections = Detections2D(
        frame[keep], found.reshape(-1, 4)[keep], np.full(keep.sum(), 0.9), np.zeros(keep.sum())
    )
    rows = smooth_tracks_2d(Tracker2D().run(TIMES, detections), TIMES, detections)
    owner = np.rint((rows.xyxy_px[:, [0, 2]].mean(axis=1) - 3.0 * rows.frame) / 300.0).astype(int)
    return rows, truth[rows.frame, owner]


def test_90_percent_intervals_of_edges_hold_the_truth_whatever_the_jitter() -> None:
    for jitter in (0.01, 0.03, 0.06):
        rows, truth = smoothed_2d(jitter)
        held = (np.abs(rows.xyxy_px - truth) <= HALF_WIDTH * rows.xyxy_std_px).mean()
        assert 0.85 <= held <= MOST_HELD, (jitter, held)


def test_boxes_in_gaps_are_less_sure_and_most_so_in_the_middle() -> None:
    rows, _ = smoothed_2d(0.02, gap=range(15, 24))
    std = np.array([rows.xyxy_std_px[rows.frame == f].mean() for f in range(N_FRAMES)])
    assert (rows.status[rows.frame == 19] == Status.interpolated).all()
    assert std[19] > std[15] > 1.3 * std[14]
    assert std[19] > std[23] > 1.3 * std[24]


def test_90_percent_intervals_of_centres_hold_the_truth() -> None:
    rng = np.random.default_rng(7)
    frame = np.repeat(np.arange(N_FRAMES), N_OBJECTS)
    truth = np.zeros((N_FRAMES, N_OBJECTS, 3))
    truth[:, :, 0] = 8.0 * 0.1 * np.arange(N_FRAMES)[:, None]
    truth[:, :, 1] = 12.0 * np.arange(N_OBJECTS)
    size = np.array([4.2, 1.8, 1.5])
    lasting = np.hypot(0.025 * size, [0.05, 0.05, 0.01]) * rng.normal(size=(N_OBJECTS, 3))
    found = truth + lasting + 0.1 * rng.normal(size=truth.shape)
    n = len(frame)
    detections = Detections3D(
        frame, found.reshape(-1, 3), np.tile(size, (n, 1)), np.zeros(n), np.full(n, 0.9), np.zeros(n)
    )
    rows = smooth_tracks_3d(Tracker3D().run(TIMES, detections), TIMES, detections)
    owner = np.rint(rows.center_m[:, 1] / 12.0).astype(int)
    error = np.abs(rows.center_m - truth[rows.frame, owner])
    held = (error <= HALF_WIDTH * rows.center_std_m).mean()
    assert 0.85 <= held <= MOST_HELD, held
