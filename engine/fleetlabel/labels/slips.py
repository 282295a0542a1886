"""Keyframes that may be slips of the hand: kept as people set them, and told.

A keyframe is held against what all else says of its frame: the object is solved without it, from detections, motion
and the other keyframes. Where the other keyframes differ from that in the same way, the machine is wrong and not the
hand. With no other keyframe there is only the detector's word against a person's, and that is what people correct; so
nothing is said then, nor of keyframes beyond all that is known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fleetlabel.geometry import quaternion, yaw
from fleetlabel.geometry.arrays import F64
from fleetlabel.labels.base import BaseLabels
from fleetlabel.labels.objects import LabelObject
from fleetlabel.labels.solving import Solver, solve_cuboids, solve_pictures

_HAND_M, _HAND_RAD, _HAND_PX = 0.15, 0.1, 4.0  # how far off careful people are
_FAR = 4.0  # standard deviations from which on a keyframe is doubted


def slips(
    base: BaseLabels, item: LabelObject, solver: Solver, class_name: str, camera: str
) -> tuple[int, ...]:
    """Frames, ascending, of keyframes in one camera's pictures, or of the cuboid (""), that all else contradicts.

    The worst is told first and no longer believed when the others are judged.
    """
    found: list[int] = []
    while len(keys := item.keyframes(camera)) > 1:
        off = np.stack([_off(base, item, solver, class_name, camera, key) for key in keys])
        usual = np.stack([np.median(np.delete(off, row, axis=0), axis=0) for row in range(len(keys))])
        sure = np.minimum(np.linalg.norm(off, axis=1), np.linalg.norm(off - usual, axis=1))
        worst = int(sure.argmax())
        if sure[worst] <= _FAR:
            break
        found.append(keys[worst])
        item = _without(item, camera, keys[worst])
    return tuple(sorted(found))


def _without(item: LabelObject, camera: str, key: int) -> LabelObject:
    if not camera:
        return replace(item, poses={frame: pose for frame, pose in item.poses.items() if frame != key})
    return replace(item, boxes={at: box for at, box in item.boxes.items() if at != (camera, key)})


def _off(base: BaseLabels, item: LabelObject, solver: Solver, class_name: str, camera: str, key: int) -> F64:
    """(4,) how many standard deviations a keyframe is off (x y z yaw, or edges); 0 if nothing else is known there."""
    others = _without(item, camera, key)
    if camera:
        flat, std = solve_pictures(base, others, solver, class_name, camera)
        row = np.flatnonzero(flat.frame == key)
        if not len(row):
            return np.zeros(4)
        off = (np.array(item.boxes[camera, key].xyxy_px) - flat.xyxy_px[row[0]]) / _HAND_PX
        unsure = np.nan_to_num(std[row[0]]) / _HAND_PX
    else:
        solid, std = solve_cuboids(base, others, solver, class_name)
        row = np.flatnonzero(solid.frame == key)
        if not len(row):
            return np.zeros(4)
        pose = item.poses[key]
        turned = yaw.difference(np.array([pose.yaw_rad]), quaternion.yaw_of(solid.q_wxyz[row]))
        off = np.append((np.array(pose.center_m) - solid.center_m[row[0]]) / _HAND_M, turned / _HAND_RAD)
        unsure = np.full(4, np.linalg.norm(np.nan_to_num(std[row[0]])) / _HAND_M)
    return np.asarray(off / np.sqrt(1.0 + unsure**2))
