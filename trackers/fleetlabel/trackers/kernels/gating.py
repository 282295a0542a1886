"""Sparse edges for the offline pass: tracks against free detections, ends of tracks against starts."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.geometry.compiled import kernel
from fleetlabel.geometry.iou import GIOU_3D, iou_2d_pair, overlap_pair
from fleetlabel.trackers.kernels.assignment import match
from fleetlabel.trackers.kernels.sorting import order_of


@kernel
def similarity(track: F64, detection: F64, scratch: F64) -> float:
    """IoU of 2D boxes (cx, cy, w, h), generalised IoU of 3D boxes (x, y, z, l, w, h, yaw)."""
    if len(track) == 4:
        tw, th, dw, dh = 0.5 * track[2], 0.5 * track[3], 0.5 * detection[2], 0.5 * detection[3]
        return iou_2d_pair(
            track[0] - tw, track[1] - th, track[0] + tw, track[1] + th,
            detection[0] - dw, detection[1] - dh, detection[0] + dw, detection[1] + dh,
        )  # fmt: skip
    return overlap_pair(track, detection, GIOU_3D, scratch)


@kernel
def claim(
    sample_frame: I64, sample_box: F64, sample_class: I64, wants: Bool, frame_ptr: I64, box: F64, class_id: I64,
    free: Bool, reach: float, gate: float, class_penalty: float,
) -> I64:  # fmt: skip
    """Free detection that each sample (K,) may take, -1 for none: the best disjoint choice over all frames.

    Only samples that ``wants`` and detections that are ``free`` take part; a pair needs ``similarity > gate``
    and, in 3D, centres within ``reach`` metres.
    """
    n = len(sample_frame)
    left, right, weight = np.empty(n + 16, np.int64), np.empty(n + 16, np.int64), np.empty(n + 16)
    scratch = np.empty((4, 16, 2))
    n_edges = 0
    for i in range(n):
        if not wants[i]:
            continue
        for k in range(frame_ptr[sample_frame[i]], frame_ptr[sample_frame[i] + 1]):
            if not free[k]:
                continue
            dx, dy = abs(sample_box[i, 0] - box[k, 0]), abs(sample_box[i, 1] - box[k, 1])
            if box.shape[1] == 4:
                if 2.0 * dx >= sample_box[i, 2] + box[k, 2] or 2.0 * dy >= sample_box[i, 3] + box[k, 3]:
                    continue
            elif dx * dx + dy * dy > reach * reach:
                continue
            value = similarity(sample_box[i], box[k], scratch)
            if sample_class[i] != class_id[k]:
                value -= class_penalty
            if value > gate:
                if n_edges == len(left):
                    left = np.concatenate((left, np.empty(n_edges, np.int64)))
                    right = np.concatenate((right, np.empty(n_edges, np.int64)))
                    weight = np.concatenate((weight, np.empty(n_edges)))
                left[n_edges], right[n_edges], weight[n_edges] = i, k, value - gate
                n_edges += 1
    chosen = np.full(n, -1, dtype=np.int64)
    match(n, len(box), left, right, weight, n_edges, chosen)
    return chosen


@kernel
def link(
    end_s: F64, end_mean: F64, end_var: F64, start_s: F64, start_mean: F64, start_var: F64, class_id: I64,
    noise: F64, end_scale: F64, start_scale: F64, max_gap_s: float, reach: float, gate: float,
    class_cost: float, angular: int,
) -> I64:  # fmt: skip
    """Track (T,) that continues each track, -1 for none: the best disjoint choice of ends and starts.

    Both tracks are carried to the middle of the gap, and the squared Mahalanobis distance of what they say
    there, position and velocity of each number of the box, averaged over those numbers, must stay below
    ``gate``; there the centres must also lie within ``reach`` scales of each other. ``angular`` is the column
    of the heading, which is compared modulo pi, or -1.
    """
    n = len(end_s)
    by_start = order_of(start_s)
    sorted_start = start_s[by_start]
    left, right, weight = np.empty(n + 16, np.int64), np.empty(n + 16, np.int64), np.empty(n + 16)
    n_edges = 0
    for i in range(n):
        position = np.searchsorted(sorted_start, end_s[i], side="right")
        while position < n and sorted_start[position] <= end_s[i] + max_gap_s:
            j = by_start[position]
            position += 1
            half = 0.5 * (start_s[j] - end_s[i])
            dx = (
                end_mean[i, 0, 0]
                + half * end_mean[i, 1, 0]
                - start_mean[j, 0, 0]
                + half * start_mean[j, 1, 0]
            )
            dy = (
                end_mean[i, 0, 1]
                + half * end_mean[i, 1, 1]
                - start_mean[j, 0, 1]
                + half * start_mean[j, 1, 1]
            )
            if dx * dx + dy * dy > (reach * max(end_scale[i], start_scale[j])) ** 2:
                continue
            cost = _distance(
                end_mean[i],
                end_var[i],
                start_mean[j],
                start_var[j],
                noise[i],
                end_scale[i],
                start_scale[j],
                half,
                angular,
            )
            if class_id[i] != class_id[j]:
                cost += class_cost
            if cost < gate:
                if n_edges == len(left):
                    left = np.concatenate((left, np.empty(n_edges, np.int64)))
                    right = np.concatenate((right, np.empty(n_edges, np.int64)))
                    weight = np.concatenate((weight, np.empty(n_edges)))
                left[n_edges], right[n_edges], weight[n_edges] = i, j, gate - cost
                n_edges += 1
    following = np.full(n, -1, dtype=np.int64)
    match(n, n, left, right, weight, n_edges, following)
    return following


@kernel
def _distance(
    a_mean: F64, a_var: F64, b_mean: F64, b_var: F64, noise: F64, a_scale: float, b_scale: float, half: float,
    angular: int,
) -> float:  # fmt: skip
    total = 0.0
    t = half
    for c in range(a_mean.shape[1]):
        dx = (a_mean[0, c] + t * a_mean[1, c]) - (b_mean[0, c] - t * b_mean[1, c])
        if c == angular:
            dx -= np.pi * np.floor(dx / np.pi + 0.5)
        dv = a_mean[1, c] - b_mean[1, c]
        sxx, sxv, svv = 0.0, 0.0, 0.0
        for side in range(2):
            p = a_var if side == 0 else b_var
            scale = a_scale if side == 0 else b_scale
            sign = 1.0 if side == 0 else -1.0
            walk, kick = (scale * noise[2, c]) ** 2, (scale * noise[3, c]) ** 2
            sxx += p[0, c] + t * (2.0 * sign * p[1, c] + t * p[2, c]) + walk * t + kick * t * t * t / 3.0
            sxv += p[1, c] + sign * (t * p[2, c] + kick * t * t / 2.0)
            svv += p[2, c] + kick * t
        determinant = sxx * svv - sxv * sxv
        if determinant > 1e-12 * sxx * svv:
            total += (svv * dx * dx - 2.0 * sxv * dx * dv + sxx * dv * dv) / determinant
        else:
            total += dx * dx / sxx
    return float(total / a_mean.shape[1])
