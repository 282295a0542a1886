"""Colours: of classes, of tracks, and of everything around them. All are blue, green, red, 0..255."""

from __future__ import annotations

import colorsys
import zlib
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, U8, AnyArray
from fleetlabel.model.boxes import Boxes
from fleetlabel.model.ontology import canonical

Color = tuple[int, int, int]


def _rgb(code: int) -> Color:
    return code & 255, code >> 8 & 255, code >> 16


BACKGROUND = _rgb(0x14161A)
PANEL = _rgb(0x1D2026)
GRID = _rgb(0x343942)
FAINT = _rgb(0x7C8591)
TEXT = _rgb(0xE6E9ED)
EGO = _rgb(0xF5F7FA)
COMPARED = _rgb(0xFFFFFF)
PROBLEM = _rgb(0xE9A23B)

# Kinds of road users lie far apart in hue; those of one kind lie close together.
_CLASS_COLORS = MappingProxyType(
    {
        "car": _rgb(0x3FA7FF),
        "truck": _rgb(0x7C83FF),
        "bus": _rgb(0xB07CFF),
        "trailer": _rgb(0x8FB4FF),
        "construction_vehicle": _rgb(0xD7A6FF),
        "train": _rgb(0xE07BE0),
        "motorcycle": _rgb(0xFF6FA8),
        "bicycle": _rgb(0xFF5C5C),
        "pedestrian": _rgb(0xFFB52E),
        "animal": _rgb(0xD9C27A),
        "traffic_light": _rgb(0x59D98E),
        "traffic_sign": _rgb(0xA5D94E),
        "traffic_cone": _rgb(0xFF8A3D),
        "barrier": _rgb(0x4ED0C6),
        "movable_object": _rgb(0xB9A48F),
    }
)


def _spread(count: int) -> U8:
    """(count, 3) colours, neighbours in the list far apart: hues by the golden angle, three lightnesses.

    None is darker than a line on a dark picture may be.
    """
    golden, lightness, darkest = 0.61803398875, (0.62, 0.74, 0.54), 105.0
    hls = [(i * golden % 1.0, lightness[i % 3], 0.85) for i in range(count)]
    rgb = 255 * np.array([colorsys.hls_to_rgb(*color) for color in hls])
    lack = np.clip((darkest - luminance(rgb[:, ::-1])) / (255 - darkest), 0, 1)[:, None]
    colors: U8 = np.round(rgb + lack * (255 - rgb))[:, ::-1].astype(np.uint8)
    return colors


def luminance(bgr: AnyArray) -> F64:
    """Perceived brightness (...) of colours (..., 3), 0..255 (ITU-R BT.601)."""
    weighted: F64 = np.asarray(bgr, dtype=np.float64) @ np.array([0.114, 0.587, 0.299])
    return weighted


TRACK_COLORS: U8 = _spread(20)
UNTRACKED = _rgb(0x9AA3AE)


class ColorBy(StrEnum):
    """What a box's colour tells."""

    CLASS = "class"
    TRACK = "track"


def box_colors(boxes: Boxes, by: ColorBy) -> tuple[I64, U8]:
    """Colours of boxes: a row (N,) of a palette (K, 3) for each, and the palette.

    Tracks born one after the other get colours far apart; boxes without identity are grey among tracks.
    """
    if by is ColorBy.CLASS:
        colors = [class_color(name) for name in boxes.class_names]
        return boxes.class_id.astype(np.int64), np.array(colors, dtype=np.uint8).reshape(-1, 3)
    count = len(TRACK_COLORS)
    index: I64 = np.where(boxes.track_id >= 0, boxes.track_id % count, count).astype(np.int64)
    return index, np.concatenate([TRACK_COLORS, np.array([UNTRACKED], dtype=np.uint8)])


def class_color(name: str) -> Color:
    """The colour of a class, by whatever vocabulary's name; one that nobody knows gets it by its spelling."""
    known = shown_class(name)
    if known in _CLASS_COLORS:
        return _CLASS_COLORS[known]
    blue, green, red = TRACK_COLORS[zlib.crc32(known.encode()) % len(TRACK_COLORS)].tolist()
    return blue, green, red


def shown_class(name: str) -> str:
    """The ontology's name for a class, or its own if the ontology has none."""
    return canonical(name) or name
