"""Every backend gives the same answer, and the fastest that does is chosen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from detect.small_models import NAMES, detector_metadata, square_finder, write_model
from fleetlabel.engine.detect import BackendSpec, DetectConfig, Weights, choose_backend, load_weights
from fleetlabel.engine.detect import choose as choosing
from fleetlabel.engine.detect.backend import Backend
from fleetlabel.engine.detect.heads import Head
from fleetlabel.engine.detect.libraries import open_backend, possible_specs
from fleetlabel.model.errors import ModelFileError, UsageError

CONFIG = DetectConfig()


def inputs(n: int, height: int = 96, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, height, width), dtype=np.float32)


def opened(weights: Weights) -> list[Backend]:
    return [open_backend(weights, spec, CONFIG) for spec in possible_specs(weights, CONFIG)]


def test_all_backends_of_an_onnx_model_agree(model: Path) -> None:
    batch = inputs(1)
    backends = opened(load_weights(model))
    assert {backend.spec.backend for backend in backends} >= {"onnxruntime", "openvino"}
    reference = backends[0].forward(batch)
    assert reference.shape == (1, 7, 36)
    for backend in backends[1:]:
        tolerance = 1e-4 if backend.spec.precision == "fp32" else 0.2
        np.testing.assert_allclose(
            backend.forward(batch), reference, atol=tolerance, err_msg=str(backend.spec)
        )


def test_a_picture_does_not_see_its_neighbours_in_a_batch(tmp_path: Path) -> None:
    weights = load_weights(square_finder(tmp_path / "batch.onnx", batch="n"))
    assert weights.batch is None
    batch = inputs(3)
    for backend in opened(weights):
        if backend.spec.precision == "fp32":
            together = backend.forward(batch)
            alone = np.concatenate([backend.forward(batch[i : i + 1]) for i in range(3)])
            np.testing.assert_allclose(together, alone, atol=1e-5)


def test_inputs_of_any_size(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat"], ["scores"]),
        helper.make_node("Concat", ["box", "scores"], ["output0"], axis=1),
    ]
    box = np.full((1, 4, 1), 16, dtype=np.float32)
    path = write_model(
        tmp_path / "any.onnx",
        nodes,
        {"flat": np.array([0, 3, -1]), "box": box},
        [1, 3, "h", "w"],
        [1, 7, "a"],
        detector_metadata(),
    )
    weights = load_weights(path)
    assert weights.network_hw is None
    for backend in opened(weights):
        for height, width in ((64, 96), (32, 32), (64, 96)):
            batch = inputs(1, height, width)
            np.testing.assert_allclose(
                backend.forward(batch)[0, 4:, 0], batch.mean(axis=(0, 2, 3)), atol=1e-2 * (width > 0)
            )


@pytest.fixture
def quantised(tmp_path: Path) -> tuple[Path, Path]:
    """A network, and the same with weights and activations quantised at run time."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    rng = np.random.default_rng(1)
    weights = {
        "w1": rng.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32),
        "b1": rng.normal(0, 0.1, 8).astype(np.float32),
        "w2": rng.normal(0, 0.3, (7, 8, 1, 1)).astype(np.float32),
        "m": rng.normal(0, 0.3, (144, 36)).astype(np.float32),
        "flat": np.array([0, 7, -1]),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w1", "b1"], ["c1"], name="c1", pads=[1] * 4, strides=[4, 4]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="c2", strides=[2, 2]),
        helper.make_node("Reshape", ["c2", "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["output0"], name="m1"),
    ]
    original = write_model(
        tmp_path / "float.onnx", nodes, weights, [1, 3, 96, 96], [1, 7, 36], detector_metadata()
    )
    path = tmp_path / "int8.onnx"
    quantization.quantize_dynamic(original, path, weight_type=quantization.QuantType.QUInt8)
    return original, path


def test_run_time_quantised_weights_run_as_the_float_network_they_approximate(
    quantised: tuple[Path, Path],
) -> None:
    original, path = (load_weights(each) for each in quantised)
    assert (path.precision, path.mixes_batch, original.mixes_batch) == ("int8", True, False)
    specs = possible_specs(path, CONFIG)
    assert specs[0] == BackendSpec("onnxruntime", "cpu", "fp32")
    assert BackendSpec("onnxruntime", "cpu", "int8") in specs
    batch = inputs(1)
    exact = open_backend(original, specs[0], CONFIG).forward(batch)
    outputs = {str(spec): open_backend(path, spec, CONFIG).forward(batch) for spec in specs}
    error = {
        name: float(np.abs(output - exact).mean() / np.abs(exact).mean()) for name, output in outputs.items()
    }
    assert max(error.values()) < 0.1
    # Only the weights' rounding is left, not that of the activations.
    assert error["onnxruntime cpu fp32"] < error["onnxruntime cpu int8"]
    np.testing.assert_allclose(outputs["openvino cpu fp32"], outputs["onnxruntime cpu fp32"], atol=1e-3)


@pytest.mark.parametrize(
    ("architecture", "end_to_end"), [("yolo11n", False), ("yolo26n", True), ("yolov10n", True)]
)
def test_torch_gives_what_ultralytics_gives(
    ultralytics_checkpoint: Callable[..., Path], architecture: str, end_to_end: bool
) -> None:
    path = ultralytics_checkpoint(architecture, end_to_end=end_to_end)
    import torch
    from ultralytics import YOLO

    weights = load_weights(path)
    assert weights.head is (Head.END_TO_END if end_to_end else Head.GRID)
    batch = inputs(2, 64, 96)
    backend = open_backend(weights, BackendSpec("torch", "cpu", "fp32"), CONFIG)
    oracle = YOLO(path).model.float().eval()
    with torch.inference_mode():
        expected = oracle(torch.from_numpy(batch))
    expected = (expected[0] if isinstance(expected, tuple) else expected).numpy()
    np.testing.assert_allclose(backend.forward(batch), expected, atol=2e-3)
    assert "torchvision" not in sys.modules


def test_the_fastest_that_agrees_is_chosen_and_recorded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = load_weights(model)
    choice = choose_backend(weights, CONFIG)
    assert len(choice.measurements) == len(possible_specs(weights, CONFIG)) >= 2
    fastest = min((m for m in choice.measurements if not m.refused), key=lambda m: m.ms_per_input)
    assert (choice.config.backend, choice.config.precision) == (fastest.spec.backend, fastest.spec.precision)
    assert (choice.config.imgsz_px, choice.config.batch) == (96, 1)
    # Once definite, nothing is measured again.
    monkeypatch.setattr(choosing, "_time_in_turns", None)
    assert choose_backend(weights, choice.config).config == choice.config


def test_a_backend_that_gets_the_network_wrong_is_not_chosen(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fleetlabel.engine.detect.openvino_backend import OpenVinoBackend

    right = OpenVinoBackend.forward
    monkeypatch.setattr(OpenVinoBackend, "forward", lambda self, batch: right(self, batch) + 0.5)
    choice = choose_backend(load_weights(model), CONFIG)
    assert choice.config.backend == "onnxruntime"
    assert any("differs from the reference: scores by 0.500" in m.refused for m in choice.measurements)


def test_settings_that_cannot_be_met(model: Path, tmp_path: Path) -> None:
    weights = load_weights(model)
    with pytest.raises(UsageError, match=r"imgsz 640 .*fixed to 96 x 96"):
        choose_backend(weights, DetectConfig(imgsz_px=640))
    assert choose_backend(weights, DetectConfig(imgsz_px=96, backend="onnxruntime")).config.imgsz_px == 96
    with pytest.raises(UsageError, match=r"batch 4 .*fixed to 1"):
        choose_backend(weights, DetectConfig(batch=4))
    with pytest.raises(UsageError, match=r"backend=torch.*possible: onnxruntime cpu fp32"):
        choose_backend(weights, DetectConfig(backend="torch"))
    free = replace(weights, network_hw=None, batch=None)
    with pytest.raises(UsageError, match=r"multiple of 32"):
        choose_backend(free, DetectConfig(imgsz_px=100))
    int8 = replace(free, mixes_batch=True, precision="int8")
    with pytest.raises(UsageError, match=r"quantises over the whole batch"):
        choose_backend(int8, DetectConfig(batch=4, backend="onnxruntime", precision="int8"))


@pytest.mark.parametrize(
    "setting",
    [
        {"conf": 0.0},
        {"conf": 1.5},
        {"nms_iou": 0.0},
        {"tiles": (0, 1)},
        {"batch": 0},
        {"threads": 0},
        {"imgsz_px": 8},
    ],
)
def test_nonsense_settings(setting: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(setting))}: expected .*found"):
        DetectConfig(**setting)


def test_an_output_that_is_not_what_the_file_promised(model: Path) -> None:
    lying = replace(load_weights(model), class_names=(*NAMES, "more"))
    with pytest.raises(
        ModelFileError, match=r"squares.onnx.*output.shape = \(1, 7, 36\).*expected \(batch, 8"
    ):
        open_backend(lying, BackendSpec("onnxruntime", "cpu", "fp32"), CONFIG)


def test_real_weights_in_all_backends(models_dir: Path) -> None:
    weights = load_weights(models_dir / "yolo11n_int8.onnx")
    choice = choose_backend(weights, CONFIG)
    assert len(choice.measurements) >= 3
    assert not any(m.refused for m in choice.measurements), choice.measurements
