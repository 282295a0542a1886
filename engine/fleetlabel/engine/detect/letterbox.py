"""Fits a picture into the network's input, and boxes back: resize, keep the aspect, pad with grey."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fleetlabel.engine.detect.config import Interpolation
from fleetlabel.engine.detect.shrink import shrink_by_area
from fleetlabel.geometry.arrays import F32, F64, U8

PADDING = 114  # the grey that YOLO networks were trained with


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies in a network input: the geometry of ultralytics' LetterBox.

    Attributes:
        source_hw: size of the picture, pixels.
        resized_hw: size to which it is resized, pixels.
        network_hw: size of the input, pixels.
        top, left: first row and column of the picture in the input.
    """

    source_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    network_hw: tuple[int, int]
    top: int
    left: int

    def to_source(self, xyxy_px: F32) -> F64:
        """Boxes (N, 4) in network pixels to (N, 4) float64 in source pixels, unclipped.

        Each axis has its own exact scale: rounding of the resized size makes them differ by up to half a
        pixel.
        """
        scale_y = self.source_hw[0] / self.resized_hw[0]
        scale_x = self.source_hw[1] / self.resized_hw[1]
        shift = np.array([self.left, self.top, self.left, self.top], dtype=np.float64)
        return np.asarray((xyxy_px - shift) * np.array([scale_x, scale_y, scale_x, scale_y]))


def fit(source_hw: tuple[int, int], network_hw: tuple[int, int], *, scaleup: bool = True) -> Letterbox:
    """Geometry of a picture centred in a network input of fixed size.

    Args:
        source_hw: the picture's height and width, pixels.
        network_hw: the input's height and width, pixels.
        scaleup: enlarge a picture that is smaller than the input.
    """
    scale = min(network_hw[0] / source_hw[0], network_hw[1] / source_hw[1])
    if not scaleup:
        scale = min(scale, 1.0)
    resized_hw = max(round(source_hw[0] * scale), 1), max(round(source_hw[1] * scale), 1)
    # The odd row or column of padding goes below and to the right.
    top = round((network_hw[0] - resized_hw[0]) / 2 - 0.1)
    left = round((network_hw[1] - resized_hw[1]) / 2 - 0.1)
    return Letterbox(source_hw, resized_hw, network_hw, top, left)


def smallest_input(source_hw: tuple[int, int], imgsz_px: int, stride_px: int) -> tuple[int, int]:
    """Height and width of the least padded input with ``imgsz_px`` as longest side, for free sizes.

    Both are multiples of the network's stride. (ultralytics: ``LetterBox(auto=True)``.)
    """
    scale = min(imgsz_px / source_hw[0], imgsz_px / source_hw[1])
    height, width = (-(-max(round(side * scale), 1) // stride_px) * stride_px for side in source_hw)
    return height, width


def network_input(rgb: U8, place: Letterbox, interpolation: Interpolation) -> F32:
    """A picture (h, w, 3) uint8 as the network sees it: (3, H, W) float32, 0..1, padded with grey."""
    height, width = place.resized_hw
    bottom, right = place.top + height, place.left + width
    out = np.empty((3, *place.network_hw), dtype=np.float32)
    for border in (
        out[:, : place.top],
        out[:, bottom:],
        out[:, place.top : bottom, : place.left],
        out[:, place.top : bottom, right:],
    ):
        border.fill(np.float32(PADDING / 255))
    inner = out[:, place.top : bottom, place.left : right]
    if (height, width) != rgb.shape[:2]:
        if interpolation == "area" and height <= rgb.shape[0] and width <= rgb.shape[1]:
            shrink_by_area(rgb, inner)
            return out
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    for plane, seen in zip(cv2.split(rgb), inner, strict=True):  # three times as fast as a transposed product
        np.multiply(plane, np.float32(1 / 255), out=seen)
    return out
