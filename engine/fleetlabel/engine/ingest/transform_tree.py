"""ROS' tree of transforms: which frame is where in which, at any time (REP 105, REP 103).

An edge says where a child frame is in its parent; it stands still, or has samples and is interpolated between them. An
edge that is published again and again with the same numbers stands still as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import SourceError

_STILL_M, _STILL_RAD = 1e-4, 1e-4
_MAX_SAMPLES = 10_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Where a child frame is in its parent.

    Attributes:
        parent: the other frame.
        still: (4, 4) parent_from_child if it never moves.
        moving: its path otherwise.
    """

    parent: str
    still: F64 | None
    moving: Trajectory | None


@dataclass(slots=True)
class TransformTree:
    """Edges as they are found, then the tree.

    Attributes:
        problems: what was found and not used, in words.
    """

    problems: list[str] = field(default_factory=list)
    _samples: dict[str, tuple[str, list[int], list[Sequence[float]]]] = field(default_factory=dict)
    _edges: dict[str, Edge] = field(default_factory=dict)

    def add(self, parent: str, child: str, time_ns: int, pose: Sequence[float]) -> None:
        """Takes a sample: x y z in metres and q w x y z of a child frame in its parent."""
        parent, child = parent.lstrip("/"), child.lstrip("/")  # tf2 knows no leading slash, old bags have it
        if not np.isfinite(pose).all() or float(np.linalg.norm(pose[3:])) < 1e-6 or parent == child:
            self._note(f"transform {parent} <- {child} at {time_ns} ns is no pose and was left out")
            return
        known, times, poses = self._samples.setdefault(child, (parent, [], []))
        if known != parent:
            self._note(f"frame {child} is in {known} and in {parent}; the second was left out")
            return
        if len(times) >= _MAX_SAMPLES:
            raise SourceError(f"frame {child} has more than {_MAX_SAMPLES} transforms; split the log")
        times.append(time_ns)
        poses.append(pose)

    def __contains__(self, frame: str) -> bool:
        return frame in self._samples or any(parent == frame for parent, _, _ in self._samples.values())

    @property
    def frames(self) -> list[str]:
        """All frames, sorted."""
        return sorted({*self._samples, *(parent for parent, _, _ in self._samples.values())})

    def edge(self, child: str) -> Edge | None:
        """The edge above a frame, None at the root."""
        if child not in self._samples:
            return None
        if child not in self._edges:
            parent, times, poses = self._samples[child]
            self._edges[child] = _edge(parent, np.array(times, dtype=np.int64), np.array(poses, np.float64))
        return self._edges[child]

    def up(self, frame: str) -> list[str]:
        """A frame and those above it, to the root.

        Raises:
            SourceError: frames are in one another in a circle.
        """
        chain = [frame]
        while (edge := self.edge(chain[-1])) is not None:
            if edge.parent in chain:
                raise SourceError(
                    f"transforms go in a circle: {' in '.join([*chain, edge.parent])}; correct who publishes them"
                )
            chain.append(edge.parent)
        return chain

    def moving_above(self, frame: str) -> list[Trajectory]:
        """Paths of the edges above a frame that move."""
        edges = [self.edge(child) for child in self.up(frame)]
        return [edge.moving for edge in edges if edge is not None and edge.moving is not None]

    def root_from(self, frame: str, time_ns: I64) -> F64:
        """(N, 4, 4) from a frame to the root at times (N,)."""
        matrix = np.tile(np.eye(4), (len(time_ns), 1, 1))
        for child in self.up(frame)[:-1]:
            edge = self.edge(child)
            assert edge is not None
            if edge.moving is not None:
                matrix = edge.moving.at(time_ns) @ matrix
            elif edge.still is not None:
                matrix = edge.still @ matrix
        return matrix

    def still_between(self, to: str, frame: str) -> F64 | None:
        """(4, 4) from a frame to another; None if they are not of one tree, or move against one another."""
        up, over = self.up(frame), self.up(to)
        shared = next((name for name in up if name in over), None)
        if shared is None:
            return None
        sides = []
        for chain in (up, over):
            matrix: F64 = np.eye(4)
            for child in chain[: chain.index(shared)]:
                edge = self.edge(child)
                if edge is None or edge.still is None:
                    return None
                matrix = edge.still @ matrix
            sides.append(matrix)
        return se3.invert(sides[1]) @ sides[0]

    def _note(self, text: str) -> None:
        if len(self.problems) < 20:
            self.problems.append(text)


def _edge(parent: str, times: I64, poses: F64) -> Edge:
    poses[:, 3:] = quaternion.normalize(poses[:, 3:])
    first = poses[0]
    apart = np.abs(poses[:, :3] - first[:3]).max()
    turned = np.arccos(np.clip(np.abs(poses[:, 3:] @ first[3:]), 0, 1)).max() * 2
    if apart <= _STILL_M and turned <= _STILL_RAD:
        return Edge(parent, se3.from_pose(first), None)
    times, rows = np.unique(times, return_index=True)
    return Edge(parent, None, Trajectory(times, poses[rows]))
