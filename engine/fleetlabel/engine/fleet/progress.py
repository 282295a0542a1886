"""How far a fleet is: what the driver counts, in memory that grows with the open sequences only."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fleetlabel.engine.fleet.stages import CLOSE, IN_ORDER, OPEN, PLAN
from fleetlabel.engine.pipeline.tasks import Finished


@dataclass(slots=True)
class _Open:
    """An open sequence: its frames, its work in frames of stages, what is left, and what it has said."""

    frames: int = 0
    work: int = 0
    left: int = 0
    boxes: int = 0
    stage: str = OPEN
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def frames_done(self) -> float:
        return self.frames * (1 - self.left / self.work) if self.work else 0.0


class Progress:
    """What is done, what goes on, what failed.

    Args:
        n_sequences: of the fleet.
        slots: tasks that can run at once.
    """

    def __init__(self, n_sequences: int, slots: int) -> None:
        self.n_sequences = n_sequences
        self.slots = slots
        self.done = 0
        self.failed = 0
        self.frames_done = 0
        self.stages: dict[str, Counter[str]] = {}
        self._open: dict[str, _Open] = {}
        self._known_frames = 0
        self._known_sequences = 0
        self._kept_frames = 0.0  # that were done before this run
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._started_s

    def finished(self, sequence: str, done: Finished) -> None:
        """A task is done."""
        state = self._open.setdefault(sequence, _Open())
        task, result = done.task, done.result
        state.stage = task.stage
        state.warnings += result.facts.get("warnings", ())
        totals = self.stages.setdefault(task.stage, Counter())
        totals.update(tasks=1, frames=result.frames, boxes=result.boxes, quarantined=len(result.quarantined))
        totals.update(wall_us=int(result.wall_s * 1e6), cpu_us=int(result.cpu_s * 1e6))
        if task.stage == OPEN:
            state.frames, state.work = result.facts["frames"], result.facts["work"]
            state.left = state.work
            self._known_frames += state.frames
            self._known_sequences += 1
        elif task.stage == PLAN:
            before = state.frames_done
            state.left = min(state.left, result.facts["work_left"])
            self._kept_frames += state.frames_done - before
        elif task.stage == CLOSE:
            state.facts = dict(result.facts)
        else:
            state.left = max(0, state.left - (task.stop - task.start))
        if task.stage == "labels":
            state.boxes = result.boxes

    def ended(self, sequence: str, failed: bool) -> _Open:
        """A sequence is over; what it left."""
        state = self._open.pop(sequence, None) or _Open()
        self.failed += failed
        self.done += not failed
        self.frames_done += 0 if failed else state.frames
        return state

    def stage_totals(self) -> dict[str, dict[str, float]]:
        """Sums over all tasks of each stage, in the order of a sequence's way, times in seconds."""
        return {
            stage: {
                "tasks": totals["tasks"],
                "frames": totals["frames"],
                "boxes": totals["boxes"],
                "wall_s": totals["wall_us"] / 1e6,
                "cpu_s": totals["cpu_us"] / 1e6,
            }
            for stage, totals in sorted(self.stages.items(), key=lambda item: IN_ORDER.index(item[0]))
        }

    def snapshot(self) -> dict[str, Any]:
        """JSON-ready, for bars and for others to read."""
        frames = self.frames_done + sum(state.frames_done for state in self._open.values())
        elapsed_s = self.elapsed_s
        rate = max(0.0, frames - self._kept_frames) / elapsed_s if elapsed_s else 0.0
        total = self._known_frames
        if self._known_sequences:
            total = round(total / self._known_sequences * self.n_sequences)
        over = self.done + self.failed == self.n_sequences
        return {
            "sequences": self.n_sequences,
            "done": self.done,
            "failed": self.failed,
            "open": len(self._open),
            "frames": round(frames),
            "frames_total": self._known_frames if over else total,
            "frames_per_s": round(rate, 3),
            "left_s": round((total - frames) / rate, 1) if rate and not over else None,
            "elapsed_s": round(elapsed_s, 3),
        }
