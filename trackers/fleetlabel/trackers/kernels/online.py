"""The frame loop of the online trackers: predict, associate in stages, update, births, deaths, rows.

One kernel serves 2D (cx, cy, w, h in pixels) and 3D (x, y, z, l, w, h, yaw in metres and radians). Each
number of a box is its own constant-velocity Kalman filter, a (position, velocity) pair with a 2x2 covariance:
with diagonal measurement noise, process noise and start, the joint filter decouples into exactly these.

Layout of the state of n tracks, in order of birth:
    mean  (n, 2, D) f8   position, velocity per number of the box
    var   (n, 3, D) f8   variance of position, covariance, variance of velocity
    real  (n, 4) f8      see the columns below
    whole (n, 5) i8      see the columns below
    clock (3,) i8        next id, time of the last frame in ns, 1 if there was one
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.geometry.compiled import kernel
from fleetlabel.geometry.iou import GIOU_3D, iou_2d_pair, overlap_pair
from fleetlabel.geometry.yaw import wrap_scalar
from fleetlabel.trackers.kernels.assignment import match
from fleetlabel.trackers.kernels.sorting import order_of

EVIDENCE, CLASS_EVIDENCE, HEADING_VOTE, SCORE = 0, 1, 2, 3  # columns of real
TRACK_ID, CLASS_ID, HITS, LAST_NS, BIRTH_NS = 0, 1, 2, 3, 4  # columns of whole; an unconfirmed track has id 0
NEXT_ID, CLOCK_NS, STARTED = 0, 1, 2  # entries of clock
R_STD, V0_STD, WALK_STD, ACCELERATION_STD = 0, 1, 2, 3  # rows of noise
ROW_FRAME, ROW_ID, ROW_CLASS, ROW_DETECTION, ROW_STATUS = 0, 1, 2, 3, 4  # integer columns of a row
MATCHED, COASTED = 0, 1
YAW = 6
MAX_HEADING_VOTE = 5.0
SETTLED_HITS = 3  # detections after which a track's velocity is worth something
NEAR_M2 = 100.0  # squared distance at which another track's velocity counts half


class Life(NamedTuple):
    """Numbers that steer association and life cycle, all float64; documented in ``config``."""

    high_score: float
    low_score: float
    birth_score: float
    confirm_evidence: float
    high_gate: float
    low_gate: float
    rebirth_gate: float
    rebirth_buffer: float
    reach_m: float
    class_penalty: float
    max_coast_s: float
    low_coast_s: float
    tentative_coast_s: float
    report_coast_s: float
    borrow_weight: float


@kernel
def track_frames(
    life: Life, noise: F64, timestamp_ns: I64, frame_ptr: I64, box: F64, score: F64, class_id: AnyArray,
    mean: F64, var: F64, real: F64, whole: I64, clock: I64,
) -> tuple[F64, F64, F64, I64, I64, F64]:  # fmt: skip
    """Track F frames of detections; returns the new mean, var, real, whole, and the rows (integers, numbers).

    Row numbers are position (D,), velocity (D,), score. ``clock`` is changed in place; the state is not.
    """
    d = mean.shape[2]
    n = len(mean)
    mean, var, real, whole = mean.copy(), var.copy(), real.copy(), whole.copy()
    row_whole = np.empty((len(box) + 16, 5), dtype=np.int64)
    row_real = np.empty((len(box) + 16, 2 * d + 1))
    n_rows = 0
    for frame in range(len(timestamp_ns)):
        now = timestamp_ns[frame]
        first, last = frame_ptr[frame], frame_ptr[frame + 1]
        if clock[STARTED] == 1:
            elapsed_s = (now - clock[CLOCK_NS]) * 1e-9
            n = _drop_expired(n, now, clock[CLOCK_NS], life, mean, var, real, whole)
            for i in range(n):
                predict(mean[i], var[i], noise, _scale(mean[i, 0]), elapsed_s)
        need = n + last - first
        if need > len(mean):
            mean, var = _grown(mean, 2 * need), _grown(var, 2 * need)
            real, whole = _grown(real, 2 * need), _grown(whole, 2 * need)
        detection_of = _associate(life, now, n, mean, var, whole, first, last, box, score, class_id)
        taken = np.zeros(last - first, dtype=np.bool_)
        for i in range(n):
            k = detection_of[i]
            if k >= 0:
                taken[k] = True
                _update_track(
                    i,
                    box[first + k],
                    score[first + k],
                    class_id[first + k],
                    now,
                    noise,
                    mean,
                    var,
                    real,
                    whole,
                )
        n_before = n
        for k in range(last - first):
            if not taken[k] and score[first + k] >= life.birth_score:
                _start_track(
                    n,
                    box[first + k],
                    score[first + k],
                    class_id[first + k],
                    now,
                    noise,
                    mean,
                    var,
                    real,
                    whole,
                )
                _borrow_velocity(n, n_before, now, life.borrow_weight, mean, whole)
                detection_of[n] = k
                n += 1
        if n_rows + n > len(row_whole):
            row_whole, row_real = _grown(row_whole, 2 * (n_rows + n)), _grown(row_real, 2 * (n_rows + n))
        for i in range(n):
            if whole[i, TRACK_ID] == 0 and real[i, EVIDENCE] >= life.confirm_evidence:
                whole[i, TRACK_ID] = clock[NEXT_ID]
                clock[NEXT_ID] += 1
            k = detection_of[i]
            if whole[i, TRACK_ID] == 0 or (k < 0 and (now - whole[i, LAST_NS]) * 1e-9 > life.report_coast_s):
                continue
            row_whole[n_rows, ROW_FRAME] = frame
            row_whole[n_rows, ROW_ID] = whole[i, TRACK_ID]
            row_whole[n_rows, ROW_CLASS] = whole[i, CLASS_ID]
            row_whole[n_rows, ROW_DETECTION] = first + k if k >= 0 else -1
            row_whole[n_rows, ROW_STATUS] = MATCHED if k >= 0 else COASTED
            for a in range(d):
                row_real[n_rows, a] = box[first + k, a] if k >= 0 else mean[i, 0, a]
                row_real[n_rows, d + a] = mean[i, 1, a]
            row_real[n_rows, 2 * d] = real[i, SCORE]
            n_rows += 1
        clock[CLOCK_NS] = now
        clock[STARTED] = 1
    return mean[:n], var[:n], real[:n], whole[:n], row_whole[:n_rows], row_real[:n_rows]


@kernel
def predict(mean: F64, var: F64, noise: F64, scale: float, elapsed_s: float) -> None:
    """Carry one track (2, D), (3, D) forward; two short steps equal one long one."""
    t = elapsed_s
    for a in range(mean.shape[1]):
        walk, kick = scale * noise[WALK_STD, a], scale * noise[ACCELERATION_STD, a]
        q_walk, q_kick = walk * walk, kick * kick
        mean[0, a] += t * mean[1, a]
        var[0, a] += t * (2.0 * var[1, a] + t * var[2, a]) + q_walk * t + q_kick * t * t * t / 3.0
        var[1, a] += t * var[2, a] + q_kick * t * t / 2.0
        var[2, a] += q_kick * t
    if mean.shape[1] == 4:
        for a in range(2, 4):  # a shrinking box never turns inside out while it coasts
            mean[0, a] = max(mean[0, a], 1.0)
    else:
        mean[0, YAW] = wrap_scalar(mean[0, YAW])


@kernel
def correct(mean: F64, var: F64, noise: F64, scale: float, measured: F64) -> None:
    """Kalman update of one track (2, D), (3, D) with a box (D,)."""
    for a in range(mean.shape[1]):
        r = scale * noise[R_STD, a]
        innovation = measured[a] - mean[0, a]
        if mean.shape[1] == 7 and a == YAW:
            innovation = wrap_scalar(innovation)
        total = var[0, a] + r * r
        gain, gain_velocity = var[0, a] / total, var[1, a] / total
        mean[0, a] += gain * innovation
        mean[1, a] += gain_velocity * innovation
        var[2, a] -= gain_velocity * var[1, a]
        var[1, a] -= gain * var[1, a]
        var[0, a] -= gain * var[0, a]


@kernel
def _scale(box: F64) -> float:
    """Noise in pixels grows with the box; noise in metres does not."""
    if len(box) == 4:
        return float(np.sqrt(max(box[2], 1.0) * max(box[3], 1.0)))
    return 1.0


@kernel
def _start_track(
    i: int, box: F64, score: float, class_id: int, now: int, noise: F64,
    mean: F64, var: F64, real: F64, whole: I64,
) -> None:  # fmt: skip
    scale = _scale(box)
    for a in range(len(box)):
        mean[i, 0, a] = box[a]
        mean[i, 1, a] = 0.0
        var[i, 0, a] = (scale * noise[R_STD, a]) ** 2
        var[i, 1, a] = 0.0
        var[i, 2, a] = (scale * noise[V0_STD, a]) ** 2
    real[i, EVIDENCE] = real[i, CLASS_EVIDENCE] = real[i, SCORE] = score
    real[i, HEADING_VOTE] = 1.0
    whole[i, TRACK_ID] = 0
    whole[i, CLASS_ID] = class_id
    whole[i, HITS] = 1
    whole[i, LAST_NS] = whole[i, BIRTH_NS] = now


@kernel
def _borrow_velocity(i: int, n_before: int, now: int, own_weight: float, mean: F64, whole: I64) -> None:
    """Start the new track ``i`` with the common motion around it, which is that of the ego vehicle.

    In a turn everything in the picture moves alike, and a new track that expects to stay where it is takes
    the detection of its neighbour. In 2D tracks count by likeness in size, which goes with depth, in 3D by
    nearness.
    """
    total = own_weight
    vx, vy = 0.0, 0.0
    for j in range(n_before):
        if whole[j, HITS] < SETTLED_HITS or whole[j, LAST_NS] != now:
            continue
        if mean.shape[2] == 4:
            ratio = _scale(mean[j, 0]) / _scale(mean[i, 0])
            weight = min(ratio, 1.0 / ratio)
        else:
            dx, dy = mean[j, 0, 0] - mean[i, 0, 0], mean[j, 0, 1] - mean[i, 0, 1]
            weight = 1.0 / (1.0 + (dx * dx + dy * dy) / NEAR_M2)
        total += weight
        vx += weight * mean[j, 1, 0]
        vy += weight * mean[j, 1, 1]
    if total > 0.0:
        mean[i, 1, 0], mean[i, 1, 1] = vx / total, vy / total


@kernel
def _update_track(
    i: int, box: F64, score: float, class_id: int, now: int, noise: F64,
    mean: F64, var: F64, real: F64, whole: I64,
) -> None:  # fmt: skip
    measured = box.copy()
    if len(box) == 7:
        # A detector tells front from back worse than anything else: the filter follows the axis, the vote the
        # heading.
        flipped = abs(wrap_scalar(box[YAW] - mean[i, 0, YAW])) > 0.5 * np.pi
        if flipped:
            measured[YAW] = wrap_scalar(box[YAW] + np.pi)
        vote = real[i, HEADING_VOTE] + (-1.0 if flipped else 1.0)
        real[i, HEADING_VOTE] = min(abs(vote), MAX_HEADING_VOTE)
        if vote < 0.0:
            mean[i, 0, YAW] = wrap_scalar(mean[i, 0, YAW] + np.pi)
            measured[YAW] = box[YAW]
    correct(mean[i], var[i], noise, _scale(box), measured)
    if len(box) == 7:
        mean[i, 0, YAW] = wrap_scalar(mean[i, 0, YAW])
    real[i, EVIDENCE] += score
    real[i, SCORE] = score
    evidence = real[i, CLASS_EVIDENCE] + (score if class_id == whole[i, CLASS_ID] else -score)
    if evidence < 0.0:
        whole[i, CLASS_ID] = class_id
    real[i, CLASS_EVIDENCE] = abs(evidence)
    whole[i, HITS] += 1
    whole[i, LAST_NS] = now


@kernel
def _drop_expired(
    n: int, now: int, previous: int, life: Life, mean: F64, var: F64, real: F64, whole: I64
) -> int:
    kept = 0
    for i in range(n):
        if (now - whole[i, LAST_NS]) * 1e-9 > life.max_coast_s:
            continue
        # An unconfirmed track had its chance in the frame before this one; how long ago that was is not its
        # fault.
        if whole[i, TRACK_ID] == 0 and (previous - whole[i, LAST_NS]) * 1e-9 > life.tentative_coast_s:
            continue
        if kept != i:
            for a in range(mean.shape[2]):
                mean[kept, 0, a], mean[kept, 1, a] = mean[i, 0, a], mean[i, 1, a]
                var[kept, 0, a], var[kept, 1, a], var[kept, 2, a] = var[i, 0, a], var[i, 1, a], var[i, 2, a]
            for a in range(real.shape[1]):
                real[kept, a] = real[i, a]
            for a in range(whole.shape[1]):
                whole[kept, a] = whole[i, a]
        kept += 1
    return kept


@kernel
def _associate(
    life: Life, now: int, n: int, mean: F64, var: F64, whole: I64,
    first: int, last: int, box: F64, score: F64, class_id: I64,
) -> I64:  # fmt: skip
    """Find the detection within the frame of each track, -1 for none; has room for the births of the
    frame.
    """
    m = last - first
    detection_of = np.full(n + m, -1, dtype=np.int64)
    if n == 0 or m == 0:
        return detection_of
    by_x = order_of(box[first:last, 0])
    sorted_x = box[first:last, 0][by_x]
    half_width = 0.0
    for k in range(first, last):
        half_width = max(half_width, 0.5 * box[k, 2])
    track_free, detection_free = np.ones(n, dtype=np.bool_), np.ones(m, dtype=np.bool_)
    left, right, weight = (
        np.empty(4 * (n + m), np.int64),
        np.empty(4 * (n + m), np.int64),
        np.empty(4 * (n + m)),
    )
    right_of = np.empty(n, dtype=np.int64)
    scratch = np.empty((4, 16, 2))
    for stage in range(3):
        gate = life.high_gate if stage == 0 else (life.low_gate if stage == 1 else life.rebirth_gate)
        buffer = life.rebirth_buffer if stage == 2 else 0.0
        n_edges = 0
        for i in range(n):
            unseen_s = (now - whole[i, LAST_NS]) * 1e-9
            if not track_free[i] or (stage == 1 and unseen_s > life.low_coast_s):
                continue
            if stage == 2 and whole[i, TRACK_ID] == 0:
                continue
            if mean.shape[2] == 4:
                reach = (0.5 + buffer) * mean[i, 0, 2] + (1.0 + 2.0 * buffer) * half_width
            else:
                reach = life.reach_m * (1.0 + buffer)
                # While its speed is unknown, at few frames per second it may be far.
                if whole[i, HITS] < SETTLED_HITS:
                    reach += 2.0 * np.sqrt(max(var[i, 0, 0], var[i, 0, 1]))
            position = np.searchsorted(sorted_x, mean[i, 0, 0] - reach)
            while position < m and sorted_x[position] <= mean[i, 0, 0] + reach:
                k = by_x[position]
                position += 1
                high = score[first + k] >= life.high_score
                if not detection_free[k] or high == (stage == 1) or score[first + k] < life.low_score:
                    continue
                reach_y = (
                    (0.5 + buffer) * (mean[i, 0, 3] + box[first + k, 3]) if mean.shape[2] == 4 else reach
                )
                if abs(mean[i, 0, 1] - box[first + k, 1]) >= reach_y:
                    continue
                similarity = _similarity(mean[i, 0], box[first + k], buffer, reach, scratch)
                if class_id[first + k] != whole[i, CLASS_ID]:
                    similarity -= life.class_penalty
                if similarity > gate:
                    if n_edges == len(left):
                        left, right = _grown(left, 2 * n_edges), _grown(right, 2 * n_edges)
                        weight = _grown(weight, 2 * n_edges)
                    left[n_edges], right[n_edges], weight[n_edges] = i, k, similarity - gate
                    n_edges += 1
        if n_edges == 0:
            continue
        match(n, m, left, right, weight, n_edges, right_of)
        for i in range(n):
            if right_of[i] >= 0:
                detection_of[i] = right_of[i]
                track_free[i] = False
                detection_free[right_of[i]] = False
    return detection_of


@kernel
def _similarity(track: F64, detection: F64, buffer: float, reach: float, scratch: F64) -> float:
    """IoU of buffered 2D boxes, generalised IoU of 3D boxes; -1 beyond reach."""
    if len(track) == 4:
        tw, th = (0.5 + buffer) * track[2], (0.5 + buffer) * track[3]
        dw, dh = (0.5 + buffer) * detection[2], (0.5 + buffer) * detection[3]
        return iou_2d_pair(
            track[0] - tw, track[1] - th, track[0] + tw, track[1] + th,
            detection[0] - dw, detection[1] - dh, detection[0] + dw, detection[1] + dh,
        )  # fmt: skip
    dx, dy = track[0] - detection[0], track[1] - detection[1]
    if dx * dx + dy * dy > reach * reach:
        return -1.0
    return overlap_pair(track, detection, GIOU_3D, scratch)


@kernel
def _grown(array: AnyArray, rows: int) -> AnyArray:
    bigger = np.empty((rows, *array.shape[1:]), dtype=array.dtype)
    bigger[: len(array)] = array
    return bigger
