"""One track in pictures, solved around a person's keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.trackers.resolve import (
    Fit,
    Given,
    SolvedTrack2D,
    between,
    checked,
    fit_course,
    methods,
    statuses,
    straight_share,
)
from fleetlabel.trackers.resolve_config import Resolve2DConfig
from fleetlabel.trackers.rows import Detections2D

SMALLEST_PX = 2.0  # extent to which noise refers, of boxes thinner than that
BORDER_PX = 3.0  # an edge that is closer to the picture's border is cut off by it


def solve_track_2d(
    timestamp_ns: I64, detections: Detections2D, key_frame: I64, key_box: F64, *,
    absent: Sequence[tuple[int, int]] = (), picture_px: tuple[float, float] | None = None,
    config: Resolve2DConfig | None = None,
) -> SolvedTrack2D:  # fmt: skip
    """Boxes of one track at all times, keyframes exactly as given.

    Args:
        timestamp_ns: (K,) int64, strictly ascending; ``frame`` columns count these.
        detections: of this track only, at most one per frame, in any order of equal frames.
        key_frame: (M,) int64, in any order.
        key_box: (M, 4) xyxy_px.
        absent: frames ``start:stop`` at which there is no box; detections there are left out.
        picture_px: width and height: an edge that was seen cut off goes on outside, and its boxes end at the border.
        config: see :class:`Resolve2DConfig`.

    Raises:
        ValueError: what is given is not finite, out of range, twice in a frame, or nothing at all.

    """
    config = config or Resolve2DConfig()
    frame = detections.frame.astype(np.int64)
    times, keys, key_values, away = checked(
        timestamp_ns, (frame, detections.xyxy_px, detections.score), key_frame, key_box, np.array(absent)
    )
    given = Given.of(times, frame, detections.score, keys, config, away)
    measured, key = np.zeros((len(times), 4)), np.zeros((len(times), 4))
    measured[frame], key[keys] = detections.xyxy_px, key_values
    box, std = _solved(given, measured, key, picture_px, config)
    share = straight_share(given, config.linear_s)
    if len(keys):
        box += share[:, None] * (between(given.time_s, keys, key_values) - box)
        box[keys], std[keys] = key_values, 0.0
    _put_in_order(box, given)
    k = np.flatnonzero(~away)
    return SolvedTrack2D(
        k.astype(np.int32), box[k], std[k], statuses(given)[k], methods(given, share)[k]
    )  # fmt: skip


def _solved(
    given: Given, measured: F64, key: F64, picture_px: tuple[float, float] | None, config: Resolve2DConfig
) -> tuple[F64, F64]:
    """Boxes and standard deviations (K, 4) of the edges, each of which has a course of its own."""
    known = np.where(given.is_key[:, None], key, measured)
    at = np.flatnonzero(given.is_key | given.seen)
    if not given.seen.any():
        box = between(given.time_s, at, known[at])
        away_s = np.abs(given.time_s[:, None] - given.time_s[at]).min(axis=1)
        extent = np.tile(np.maximum(box[:, 2:] - box[:, :2], SMALLEST_PX), 2)
        return box, config.edge.start_velocity * away_s[:, None] * extent
    extent = between(given.time_s, at, np.maximum(known[at, 2:] - known[at, :2], SMALLEST_PX))
    box, std = np.empty_like(measured), np.empty_like(measured)
    for edge in range(4):
        scale = extent[:, edge % 2] * (config.vertical if edge % 2 else 1.0)
        column = slice(edge, edge + 1)
        if picture_px is None:
            fit = _edge(given, measured[:, column], key[:, column], scale, config)
        else:
            border = (0.0, 0.0, *picture_px)[edge]
            fit = _edge_up_to(
                border, given, measured[:, column], key[:, column], known[at, column], scale, config
            )
        box[:, edge], std[:, edge] = fit.mean[:, 0], np.sqrt(fit.var[:, 0])
    return box, std


def _edge(given: Given, measured: F64, key: F64, scale: F64, config: Resolve2DConfig) -> Fit:
    return fit_course(
        given, measured, key, scale, np.zeros(len(scale)), config.edge, np.ones((2, 1)), config,
        config.motion_factors, config.shake_px,
    )  # fmt: skip


def _edge_up_to(
    border: float, given: Given, measured: F64, key: F64, known: F64, scale: F64, config: Resolve2DConfig
) -> Fit:
    """An edge whose course goes on beyond the border, where nobody sees it; ``known`` (A, 1) is what is said of it."""
    at = np.flatnonzero(given.is_key | given.seen)
    cut = np.abs(known[:, 0] - border) <= BORDER_PX
    if not cut.any():
        return _edge(given, measured, key, scale, config)
    hidden = np.zeros(len(scale), dtype=np.bool_)
    hidden[at[cut]] = True
    straight = between(given.time_s, at, known)
    inside = replace(given, seen=given.seen & ~hidden, is_key=given.is_key & ~hidden)
    if inside.seen.any() or inside.is_key.any():
        fit = _edge(inside, measured, key, scale, config)
        crossing = _crossings(at, cut, fit.mean[at, 0], border)
        if len(crossing):
            hidden[crossing] = False
            inside = replace(given, seen=given.seen & ~hidden, is_key=given.is_key & ~hidden)
            fit = _edge(inside, measured, key, scale, config)
    else:
        fit = Fit(straight, np.zeros_like(straight), 0.0)
    last = np.clip(np.searchsorted(at, np.arange(len(scale)), side="right") - 1, 0, len(at) - 1)
    after = np.clip(np.searchsorted(at, np.arange(len(scale))), 0, len(at) - 1)
    ends_there = cut[last] & cut[after]
    beyond = fit.mean[:, 0] <= border if border == 0.0 else fit.mean[:, 0] >= border
    mean = np.where(ends_there[:, None], straight, np.where(beyond[:, None], border, fit.mean))
    var = np.where((ends_there | beyond)[:, None], (config.edge.jitter * scale[:, None]) ** 2, fit.var)
    return Fit(mean, var, fit.likelihood)


def _crossings(at: I64, cut: Bool, fit: F64, border: float) -> I64:
    """Samples at which an edge was cut off next to one at which it was not, though its course is not out by then.

    ``at`` (A,) are the samples at which something is known, ``cut`` (A,) whether of an edge that was cut off, and
    ``fit`` (A,) where its course has it.
    """
    short = cut & (fit > border if border == 0.0 else fit < border)
    beside = np.zeros_like(cut)
    beside[1:] |= ~cut[:-1]
    beside[:-1] |= ~cut[1:]
    crossing: I64 = at[short & beside]
    return crossing


def _put_in_order(box: F64, given: Given) -> None:
    """Edges that crossed, far from anything known, meet in their middle; keyframes stay."""
    for low, high in ((0, 2), (1, 3)):
        rows = np.flatnonzero((box[:, low] > box[:, high]) & ~given.is_key)
        box[rows[:, None], [low, high]] = box[rows][:, [low, high]].mean(axis=1, keepdims=True)
