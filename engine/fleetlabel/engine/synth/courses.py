"""Ways across and along the road, of lines and arcs, and who follows them; what belongs to one place, planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.crowd import Crowd, Places, columns, join
from fleetlabel.engine.synth.route import Profile, progress
from fleetlabel.geometry.arrays import F64


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A way in road coordinates and the motion along it.

    Attributes:
        start_m: (P,) distance along the way at which each piece begins.
        pose: (P, 4) there: s, d, heading relative to the road, curvature.
        profile: motion.
    """

    start_m: F64
    pose: F64
    profile: Profile


@dataclass(frozen=True, slots=True, eq=False)
class Courses:
    """M courses side by side, padded to the same number of phases and pieces, so that all move in one go.

    Attributes:
        phases: (5, M, P) columns of the profiles.
        start_m: (M, Q) where pieces begin.
        pose: (M, Q, 4) of the pieces.
    """

    phases: F64
    start_m: F64
    pose: F64

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.start_m)

    def at(self, time_s: F64) -> Places:
        """Places (T, M) at times (T,)."""
        each, time = np.arange(self.count), time_s[:, None]
        phase = np.maximum((time[:, :, None] >= self.phases[0]).sum(axis=-1) - 1, 0)
        along, speed = progress(time, *self.phases[:, each, phase])
        piece = np.maximum((along[:, :, None] >= self.start_m).sum(axis=-1) - 1, 0)
        s, d, heading, curvature = np.moveaxis(self.pose[each, piece], -1, 0)
        since = along - self.start_m[each, piece]
        yaw = heading + curvature * since
        # A chord: exact on an arc, and on a line, where sinc is one.
        chord = since * np.sinc(curvature * since / (2.0 * np.pi))
        middle = heading + 0.5 * curvature * since
        return Places(
            s + chord * np.cos(middle),
            d + chord * np.sin(middle),
            yaw,
            speed * np.cos(yaw),
            speed * np.sin(yaw),
            along,
        )


def courses_of(courses: Sequence[Course]) -> Courses:
    """Courses side by side."""
    profiles = [course.profile for course in courses]
    most_phases = max((profile.start_s.size for profile in profiles), default=0)
    most_pieces = max((course.start_m.size for course in courses), default=0)
    phases = np.ones((5, len(courses), most_phases))
    phases[0] = np.inf
    start_m = np.full((len(courses), most_pieces), np.inf)
    pose = np.zeros((len(courses), most_pieces, 4))
    for row, (course, profile) in enumerate(zip(courses, profiles, strict=True)):
        parts = (profile.start_s, profile.duration_s, profile.start_m, profile.from_mps, profile.to_mps)
        phases[:, row, : profile.start_s.size] = np.stack(parts)
        start_m[row, : course.start_m.size] = course.start_m
        pose[row, : course.start_m.size] = course.pose
    return Courses(phases, start_m, pose)


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """Objects of one or several places: first those that stand still, then those with a course.

    Attributes:
        crowd: all of them.
        still: places of the first ones.
        courses: of the others.
    """

    crowd: Crowd
    still: Places
    courses: Courses

    def at(self, time_s: F64) -> Places:
        """Places (T, K) at times (T,)."""
        still = [np.broadcast_to(column, (time_s.size, column.size)) for column in columns(self.still)]
        if not self.courses.count:
            return Places(*still)
        moving = columns(self.courses.at(time_s))
        return Places(*(np.concatenate(pair, axis=1) for pair in zip(still, moving, strict=True)))

    def one(self, row: int, time_s: F64) -> Places:
        """Places (T,) of one of the objects at times (T,)."""
        n_still = self.still.s_m.size
        if row < n_still:
            return Places(*(np.full(time_s.shape, column[row]) for column in columns(self.still)))
        chosen = slice(row - n_still, row - n_still + 1)
        own = Courses(self.courses.phases[:, chosen], self.courses.start_m[chosen], self.courses.pose[chosen])
        return Places(*(column[:, 0] for column in columns(own.at(time_s))))


def merge(planned: Sequence[Planned]) -> Planned:
    """The objects of several places, with their courses side by side."""
    still_rows = [np.arange(one.still.s_m.size) for one in planned]
    moving_rows = [np.arange(one.still.s_m.size, one.crowd.object_id.size) for one in planned]
    crowds = [one.crowd for one in planned]
    still = Places(
        *(np.concatenate(each) for each in zip(*(columns(one.still) for one in planned), strict=True))
    )
    return Planned(
        join(crowds * 2, still_rows + moving_rows), still, _side_by_side([one.courses for one in planned])
    )


def _side_by_side(every: Sequence[Courses]) -> Courses:
    phases = max(courses.phases.shape[2] for courses in every)
    pieces = max(courses.start_m.shape[1] for courses in every)

    def padded(array: F64, axis: int, count: int, value: float) -> F64:
        width = [(0, 0)] * array.ndim
        width[axis] = (0, count - array.shape[axis])
        return np.pad(array, width, constant_values=value)

    joined = np.concatenate([padded(courses.phases, 2, phases, 1.0) for courses in every], axis=1)
    starts = np.concatenate([padded(courses.phases[:1], 2, phases, np.inf) for courses in every], axis=1)
    joined[0] = starts[0]
    return Courses(
        joined,
        np.concatenate([padded(courses.start_m, 1, pieces, np.inf) for courses in every]),
        np.concatenate([padded(courses.pose, 1, pieces, 0.0) for courses in every]),
    )
