"""A small drive and a detector that really finds the objects in its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fleetlabel.engine.cli.app import main
from fleetlabel.engine.ingest.testing import Scene, write_pandaset

SIDE_PX, CELL_PX = 192, 4
SCALES_PX = (8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96)


def write_bright_detector(path: Path, names: tuple[str, ...] = ("car", "person")) -> Path:
    """An ONNX model with YOLO's interface that calls yellow squares cars.

    The score of a square grows with how yellow (red less blue) it is on average, less 0.6 of that of the square twice
    as large: it is highest for the square that just covers a yellow object, and zero for most others.
    """
    cells = SIDE_PX // CELL_PX
    centre = (np.arange(cells, dtype=np.float32) + 0.5) * CELL_PX
    place = np.stack([np.tile(centre, cells), np.repeat(centre, cells)])
    boxes = np.concatenate(
        [np.concatenate([place, np.full_like(place, scale)]) for scale in SCALES_PX], axis=1
    )
    constants = {
        "red_less_blue": np.array([1, 0, -1], dtype=np.float32).reshape(1, 3, 1, 1),
        "flat": np.array([1, 1, cells**2], dtype=np.int64),
        "surround": np.array(0.6, dtype=np.float32),
        "gain": np.array(2.6, dtype=np.float32),
        "offset": np.array(0.8, dtype=np.float32),
        "zero": np.array(0, dtype=np.float32),
        "one": np.array(1, dtype=np.float32),
        "boxes": boxes[None].astype(np.float32),
        "others": np.zeros((1, len(names) - 1, boxes.shape[1]), dtype=np.float32),
    }
    nodes = [helper.make_node("Conv", ["images", "red_less_blue"], ["yellow"])]
    for scale in sorted({*SCALES_PX, *(2 * scale for scale in SCALES_PX)}):
        pool = {"kernel_shape": [scale] * 2, "strides": [CELL_PX] * 2, "pads": [(scale - CELL_PX) // 2] * 4}
        nodes.append(
            helper.make_node("AveragePool", ["yellow"], [f"mean{scale}"], count_include_pad=1, **pool)
        )
    for scale in SCALES_PX:
        nodes += [
            helper.make_node("Mul", [f"mean{2 * scale}", "surround"], [f"around{scale}"]),
            helper.make_node("Sub", [f"mean{scale}", f"around{scale}"], [f"contrast{scale}"]),
            helper.make_node("Mul", [f"contrast{scale}", "gain"], [f"gained{scale}"]),
            helper.make_node("Sub", [f"gained{scale}", "offset"], [f"offset{scale}"]),
            helper.make_node("Clip", [f"offset{scale}", "zero", "one"], [f"clipped{scale}"]),
            helper.make_node("Reshape", [f"clipped{scale}", "flat"], [f"score{scale}"]),
        ]
    nodes += [
        helper.make_node("Concat", [f"score{scale}" for scale in SCALES_PX], ["score"], axis=2),
        helper.make_node("Concat", ["boxes", "score", "others"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + len(names), boxes.shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"names": str(dict(enumerate(names))), "task": "detect"})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def detector_writer() -> Callable[..., Path]:
    """:func:`write_bright_detector`, for tests that want other class names."""
    return write_bright_detector


@pytest.fixture(scope="session")
def bright_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_detector(tmp_path_factory.mktemp("weights") / "bright.onnx")


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    write_pandaset(tmp_path / "drive", Scene(n_frames=8, n_objects=4))
    return tmp_path / "drive"


@pytest.fixture
def fleetlabel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fleetlabel", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call
