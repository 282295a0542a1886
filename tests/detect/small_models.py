"""Small models with a known answer, and pictures to go with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import simplejpeg
from onnx import TensorProto, helper, numpy_helper

CELL_PX = 16
NAMES = ("red", "green", "blue")


def square_finder(
    path: Path,
    *,
    network_hw: tuple[int, int] = (96, 96),
    batch: int | str = 1,
    metadata: Mapping[str, str] | None = None,
    end_to_end: bool = False,
) -> Path:
    """Writes a detector of coloured squares: class k's score in a cell is how purely the cell has colour k.

    Its boxes are the cells of a grid, so a square that fills a cell is found exactly there, with score 1.
    """
    rows, columns = network_hw[0] // CELL_PX, network_hw[1] // CELL_PX
    y, x = np.mgrid[0:rows, 0:columns].reshape(2, 1, -1) * CELL_PX + CELL_PX / 2
    size = np.full_like(x, CELL_PX)
    boxes = np.stack([x, y, size, size], axis=1).astype(np.float32)
    purity = (np.eye(3) - 0.5 * (1 - np.eye(3))).astype(np.float32).reshape(3, 3, 1, 1)
    weights = {"purity": purity, "boxes": boxes, "flat": np.array([0, 3, -1]), "zero": np.float32([0.0])}
    nodes = [
        helper.make_node("Conv", ["images", "purity"], ["pure"]),
        helper.make_node(
            "AveragePool", ["pure"], ["cells"], kernel_shape=[CELL_PX] * 2, strides=[CELL_PX] * 2
        ),
        helper.make_node("Reshape", ["cells", "flat"], ["scores"]),
        helper.make_node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["best", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["placed"]),
        helper.make_node("Concat", ["placed", "scores"], ["output0"], axis=1),
    ]
    output = [batch, 7, rows * columns]
    if end_to_end:
        # x1 y1 x2 y2, best score, its class.
        corners = np.concatenate([boxes[:, :2] - CELL_PX / 2, boxes[:, :2] + CELL_PX / 2], axis=1)
        weights["boxes"] = corners
        nodes[-1:] = [
            helper.make_node("ArgMax", ["scores"], ["number"], axis=1, keepdims=1),
            helper.make_node("Cast", ["number"], ["class"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["placed", "best", "class"], ["rows"], axis=1),
            helper.make_node("Transpose", ["rows"], ["output0"], perm=[0, 2, 1]),
        ]
        output = [batch, rows * columns, 6]
    return write_model(path, nodes, weights, [batch, 3, *network_hw], output, metadata)


def write_model(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: Mapping[str, Any],
    input_shape: list[int | str],
    output_shape: list[int | str],
    metadata: Mapping[str, str] | None,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, dict(detector_metadata() if metadata is None else metadata))
    onnx.save(model, path)
    return path


def detector_metadata(**changes: str) -> dict[str, str]:
    """What ultralytics writes into an export."""
    names = str(dict(enumerate(NAMES)))
    return {
        "task": "detect",
        "stride": "32",
        "names": names,
        "imgsz": "[96, 96]",
        "end2end": "False",
    } | changes


def jpeg_of(rgb: np.ndarray, quality: int = 95) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality, "RGB", "444")


def picture_with(
    squares: Mapping[tuple[int, int, int, int], int], width: int = 96, height: int = 96
) -> bytes:
    """A grey picture with squares (x1, y1, x2, y2) of a colour 0 red, 1 green, 2 blue."""
    rgb = np.full((height, width, 3), 100, dtype=np.uint8)
    for (x1, y1, x2, y2), colour in squares.items():
        rgb[y1:y2, x1:x2] = 0
        rgb[y1:y2, x1:x2, colour] = 255
    return jpeg_of(rgb)
