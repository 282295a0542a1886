"""A picture on its way through the network: which parts of it are looked at, at what size, and what was seen there."""

from __future__ import annotations

from dataclasses import dataclass, field

from fleetlabel.engine.detect.config import DetectConfig
from fleetlabel.engine.detect.heads import Candidates
from fleetlabel.engine.detect.letterbox import Letterbox, smallest_input
from fleetlabel.engine.detect.tiles import View, views
from fleetlabel.engine.detect.weights import Weights
from fleetlabel.geometry.arrays import F32


@dataclass(slots=True, eq=False)
class Part:
    """One view of a picture on its way through the network.

    Attributes:
        view: which part of the picture.
        place: where it lies in the network's input.
        network_input: (3, H, W) float32, while it waits in the CPU's memory.
        candidates: what the network saw, once it has.
    """

    view: View
    place: Letterbox
    network_input: F32 | None = None
    candidates: Candidates | None = None


@dataclass(slots=True, eq=False)
class Prepared:
    """A decoded picture, ready for the network.

    Attributes:
        width_px, height_px: size of the original picture.
        reduction: original pixels per decoded pixel.
        parts: the full picture first, then its tiles.
    """

    width_px: int
    height_px: int
    reduction: int
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Look:
    """A view of a picture and the size (H, W) of network input that it gets."""

    view: View
    network_hw: tuple[int, int]

    @property
    def scale(self) -> float:
        """Network pixels per picture pixel."""
        view, (height, width) = self.view, self.network_hw
        return min(height / (view.y1 - view.y0), width / (view.x1 - view.x0))


def looks_at(width_px: int, height_px: int, weights: Weights, config: DetectConfig) -> tuple[Look, ...]:
    """All looks at a picture of this size."""
    return tuple(
        Look(view, _network_hw(view, weights, config))
        for view in views(width_px, height_px, config.tiles, weights.network_hw)
    )


def _network_hw(view: View, weights: Weights, config: DetectConfig) -> tuple[int, int]:
    if weights.network_hw is not None:
        return weights.network_hw
    imgsz_px = config.imgsz_px or weights.imgsz_px
    return smallest_input((view.y1 - view.y0, view.x1 - view.x0), imgsz_px, weights.stride_px)
