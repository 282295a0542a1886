"""What exporters write beside a network (class names, task, sizes), and whether the network agrees."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetlabel.engine.detect.coco import COCO_CLASS_NAMES
from fleetlabel.engine.detect.heads import Head
from fleetlabel.model.errors import ModelFileError

Shape = tuple[int | None, ...]
"""Sizes of a tensor's axes, None where the network leaves them free."""

DEFAULT_IMGSZ_PX = 640
DEFAULT_STRIDE_PX = 32


@dataclass(frozen=True, slots=True)
class Exported:
    """What an exported network and its metadata say, checked against each other."""

    class_names: tuple[str, ...]
    network_hw: tuple[int, int] | None
    imgsz_px: int
    batch: int | None
    stride_px: int
    head: Head
    notes: tuple[str, ...]


def read_export(
    path: Path, metadata: Mapping[str, object], inputs: Sequence[Shape], outputs: Sequence[Shape]
) -> Exported:
    """Checks that a network is a detector, and says how to feed and read it.

    Args:
        path: for messages.
        metadata: as ultralytics writes it (``task``, ``names``, ``imgsz``, ``stride``, ``end2end``); may be
            empty.
        inputs, outputs: shapes of the network's inputs and outputs.

    Raises:
        ModelFileError: it is a model of another task, or its shapes are not those of a YOLO detector.
    """
    _check_task(path, metadata)
    if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][1] not in (3, None):
        raise ModelFileError(
            f"{path}: expected one input of RGB pictures, (batch, 3, height, width), found {_show(inputs)}; "
            "export a YOLO detection model"
        )
    if len(outputs) != 1 or len(outputs[0]) != 3:
        raise ModelFileError(
            f"{path}: expected one output, (batch, 4 + classes, boxes) or (batch, boxes, 6), found "
            f"{_show(outputs)}; "
            "only detection models are used (no segmentation, pose, classification), exported without "
            "extra outputs"
        )
    names = _names(path, metadata.get("names"))
    head, n_classes = _head(path, metadata, outputs[0], None if names is None else len(names))
    notes: tuple[str, ...] = ()
    if names is None:
        names, notes = _assumed_names(path, n_classes)
    height, width = inputs[0][2], inputs[0][3]
    network_hw = None if height is None or width is None else (height, width)
    return Exported(
        class_names=names,
        network_hw=network_hw,
        imgsz_px=max(network_hw) if network_hw else _imgsz(metadata.get("imgsz")),
        batch=inputs[0][0],
        stride_px=_int(metadata.get("stride"), DEFAULT_STRIDE_PX),
        head=head,
        notes=notes,
    )


def _check_task(path: Path, metadata: Mapping[str, object]) -> None:
    task = metadata.get("task", "detect")
    if task != "detect":
        raise ModelFileError(
            f"{path}: this is a model for {task!r}, expected one for 'detect'; take the detection weights "
            "of the "
            "same family (for example yolo11n instead of yolo11n-seg)"
        )


def _head(
    path: Path, metadata: Mapping[str, object], output: Shape, n_names: int | None
) -> tuple[Head, int | None]:
    """Layout of the output, and the number of classes where the layout says it."""
    _, channels, last = output
    end_to_end = str(metadata.get("end2end", "")).lower() == "true"
    if last == 6 or (end_to_end and last is None):
        return Head.END_TO_END, n_names
    if channels is not None and channels > 4 and not end_to_end:
        # Without names: a grid has more columns than rows; the transposed one of YOLOv5's exporter is refused.
        looks_like_grid = last is None or last > channels
        if channels - 4 == n_names or (n_names is None and looks_like_grid):
            return Head.GRID, channels - 4
    expected = f"(batch, {'4 + classes' if n_names is None else 4 + n_names}, boxes) or (batch, boxes, 6)"
    raise ModelFileError(
        f"{path}: expected an output of {expected}, found {_show([output])}; export the model as a plain "
        "detector with ultralytics (YOLOv5u, v8, v10, 11 or 26)"
    )


def _names(path: Path, given: object) -> tuple[str, ...] | None:
    """Class names from a mapping, a list, or either written as text."""
    if given is None or given == "":
        return None
    if isinstance(given, str):
        text = given
        try:
            given = ast.literal_eval(text)
        except (ValueError, SyntaxError) as error:
            raise ModelFileError(
                f"{path}: class names in the metadata cannot be read: expected {{0: 'car', ...}}, "
                f"found {text[:80]!r}; export the model again"
            ) from error
    numbered: Any = dict(enumerate(given)) if isinstance(given, list | tuple) else given
    if isinstance(numbered, dict) and set(numbered) == set(range(len(numbered))):
        return tuple(str(numbered[number]) for number in range(len(numbered)))
    raise ModelFileError(
        f"{path}: class names in the metadata are not numbered 0, 1, 2, ...: found {str(given)[:80]}; "
        "export the model again"
    )


def _assumed_names(path: Path, n_classes: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if n_classes == len(COCO_CLASS_NAMES):
        return COCO_CLASS_NAMES, (f"{path.name} names no classes and has 80: taken to be COCO's",)
    if n_classes is None:
        raise ModelFileError(
            f"{path}: the model names no classes and its output (batch, boxes, 6) does not show how many "
            "there are; "
            "export it with its metadata (ultralytics does so by itself)"
        )
    names = tuple(f"class_{number}" for number in range(n_classes))
    return names, (f"{path.name} names no classes: they are called class_0 to class_{n_classes - 1}",)


def _imgsz(given: object) -> int:
    if isinstance(given, str):
        given = ast.literal_eval(given)
    if isinstance(given, list | tuple) and given:
        return max(int(side) for side in given)
    return _int(given, DEFAULT_IMGSZ_PX)


def _int(given: object, default: int) -> int:
    return int(float(given)) if isinstance(given, str | int | float) and str(given).strip() else default


def _show(shapes: Sequence[Shape]) -> str:
    free = [tuple("free" if side is None else side for side in shape) for shape in shapes]
    return " and ".join(f"({', '.join(map(str, shape))})" for shape in free) or "none"
