"""What runs on a GPU gives what the CPU gives: resizing, suppression, and all of it from file to boxes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detect.small_models import jpeg_of
from fleetlabel.engine.detect import BackendSpec, DetectConfig, DetectFailure, Detector, load_weights
from fleetlabel.engine.detect.heads import Head, read_head
from fleetlabel.engine.detect.letterbox import PADDING, fit, network_input
from fleetlabel.engine.detect.libraries import open_backend, workers_per_gpu
from fleetlabel.engine.detect.nms import non_maximum_suppression
from fleetlabel.geometry.iou import iou_2d

torch = pytest.importorskip("torch", reason="torch is not installed: nothing to compare")

from fleetlabel.engine.detect import device_nms, device_path  # noqa: E402
from fleetlabel.engine.detect.device_letterbox import letterbox_on_device  # noqa: E402
from fleetlabel.engine.detect.device_nms import read_head_on_device, suppress_on_device  # noqa: E402
from fleetlabel.engine.detect.device_path import DevicePath  # noqa: E402
from fleetlabel.engine.detect.device_pictures import is_plain_jpeg, nvjpeg_missing  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that torch can use")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]

sides = st.integers(1, 90)


@pytest.mark.parametrize("device", DEVICES)
@given(
    source=st.tuples(sides, sides),
    network=st.tuples(st.sampled_from([32, 64]), st.sampled_from([32, 64, 96])),
    interpolation=st.sampled_from(["area", "linear"]),
)
@settings(max_examples=60, deadline=None)
def test_letterbox_is_that_of_the_cpu(
    device: str, source: tuple[int, int], network: tuple[int, int], interpolation: str
) -> None:
    rgb = np.random.default_rng(source[0]).integers(0, 256, (2, *source, 3), dtype=np.uint8)
    place = fit(source, network)
    out = torch.full((2, 3, *network), PADDING / 255, device=device)
    letterbox_on_device(torch.from_numpy(rgb).to(device).permute(0, 3, 1, 2), place, interpolation, out)
    expected = np.stack([network_input(one, place, interpolation) for one in rgb])
    # OpenCV's linear interpolation rounds weights to 1/2048, and what comes out to whole bytes.
    shrunk = place.resized_hw[0] <= source[0] and place.resized_hw[1] <= source[1]
    exact = interpolation == "area" and shrunk
    np.testing.assert_allclose(out.cpu(), expected, atol=1e-5 if exact else 1.2 / 255)


@st.composite
def heads(draw: st.DrawFn) -> tuple[np.ndarray, Head]:
    """Outputs of a batch of 3: crowded boxes, equal scores, some of them not finite or without area."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    anchors, classes = draw(st.integers(1, 60)), draw(st.integers(1, 4))
    steps = draw(st.sampled_from([4, 16, 1000]))  # few steps: many equal scores
    centre = rng.uniform(0, 64, (3, 2, anchors))
    size = rng.uniform(0, 40, (3, 2, anchors)) * (rng.random((3, 1, anchors)) > 0.05)
    scores = rng.integers(0, steps, (3, classes, anchors)) / steps
    output = np.concatenate([centre, size, scores], axis=1).astype(np.float32)
    if draw(st.booleans()):
        output[rng.random(output.shape) < 0.02] = draw(st.sampled_from([np.nan, np.inf]))
    if draw(st.booleans()):
        return output, Head.GRID
    class_id = scores.argmax(axis=1)[:, None]
    corners = np.concatenate([output[:, :2] - output[:, 2:4] / 2, output[:, :2] + output[:, 2:4] / 2], axis=1)
    rows = np.concatenate([corners, output[:, 4:].max(axis=1, keepdims=True), class_id], axis=1)
    return np.ascontiguousarray(rows.transpose(0, 2, 1).astype(np.float32)), Head.END_TO_END


@pytest.mark.parametrize("device", DEVICES)
@given(output_and_head=heads(), iou=st.sampled_from([0.3, 0.6, 1.0]))
@settings(max_examples=100, deadline=None)
def test_suppression_is_that_of_the_cpu(
    device: str, output_and_head: tuple[np.ndarray, Head], iou: float
) -> None:
    output, head = output_and_head
    bounds = np.array([[0.0, 8.0, 64.0, 56.0]] * 3, dtype=np.float32)
    found = read_head_on_device(torch.from_numpy(output).to(device), head, 0.1, 512)
    keep, settled = suppress_on_device(found, torch.from_numpy(bounds).to(device), iou)
    for row, of_one in enumerate(output):
        expected = read_head(of_one, head, 0.1)
        clipped = np.clip(expected.xyxy_px, bounds[row, [0, 1, 0, 1]], bounds[row, [2, 3, 2, 3]])
        area = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
        kept = np.flatnonzero(area)[
            non_maximum_suppression(
                clipped[area].astype(np.float64),
                expected.score[area],
                expected.class_id[area],
                iou=iou,
                max_detections=512,
            )
        ]
        assert int(found.n_above[row]) == len(expected.score)
        if not settled[row]:
            continue  # the CPU does it
        mine = keep[row].cpu()
        np.testing.assert_array_equal(found.xyxy_px[row].cpu()[mine], expected.xyxy_px[kept])
        np.testing.assert_array_equal(found.score[row].cpu()[mine], expected.score[kept])
        np.testing.assert_array_equal(found.class_id[row].cpu()[mine], expected.class_id[kept])


def test_street_like_crowds_settle_within_the_rounds() -> None:
    rng = np.random.default_rng(0)
    centre = rng.uniform(0, 640, (4, 2, 40)).repeat(10, axis=2) + rng.normal(0, 4, (4, 2, 400))
    size = rng.uniform(20, 80, (4, 2, 40)).repeat(10, axis=2)
    scores = rng.random((4, 1, 400))
    output = torch.from_numpy(np.concatenate([centre, size, scores], axis=1).astype(np.float32))
    found = read_head_on_device(output, Head.GRID, 0.1, 512)
    _, settled = suppress_on_device(found, torch.tensor([[0.0, 0.0, 640.0, 640.0]] * 4), 0.6)
    assert settled.all()


def pictures(n: int, height: int = 180, width: int = 320) -> list[bytes]:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (n, height // 20, width // 20, 3), dtype=np.uint8)
    return [jpeg_of(cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC)) for one in coarse]


def assert_same_boxes(found: object, expected: object, *, atol_px: float, atol_score: float) -> None:
    assert not isinstance(found, DetectFailure) and not isinstance(expected, DetectFailure)
    assert len(expected.score) > 0
    assert len(found.score) == pytest.approx(len(expected.score), abs=max(1, 0.02 * len(expected.score)))
    overlap = iou_2d(expected.xyxy_px, found.xyxy_px) * (expected.class_id[:, None] == found.class_id[None])
    match = overlap.argmax(axis=1)
    same = (np.abs(found.xyxy_px[match] - expected.xyxy_px).max(axis=1) < atol_px) & (
        np.abs(found.score[match] - expected.score) < atol_score
    )
    # Scores within rounding of the threshold come and go, and overlaps within rounding of theirs.
    assert same.mean() > 0.97, f"{same.mean():.3f} of {len(same)} boxes are the same"


def on_device(detector: Detector, device: str = "cpu") -> Detector:
    """The detector with its pictures kept on a device, which may be the CPU."""
    spec = BackendSpec("torch", device, "fp32")
    backend = open_backend(detector.weights, spec, detector.config)
    detector._device_path = DevicePath(detector.weights, detector.config, backend)
    return detector


@pytest.mark.parametrize("tiles", [(1, 1), (2, 1)])
@pytest.mark.parametrize("end_to_end", [False, True])
def test_from_file_to_boxes_as_on_the_cpu(
    ultralytics_checkpoint: Callable[..., Path], tiles: tuple[int, int], end_to_end: bool
) -> None:
    weights = load_weights(
        ultralytics_checkpoint("yolo26n" if end_to_end else "yolo11n", end_to_end=end_to_end)
    )
    # Untrained, its 300 boxes are nearly one: which of them overlap by more than a bit less is a matter of rounding.
    iou = 1.0 if end_to_end else 0.6
    config = DetectConfig(backend="torch", device="cpu", imgsz_px=160, tiles=tiles, batch=3, nms_iou=iou)
    files = pictures(4)
    files[2:2] = [b"\xff\xd8 no picture"]
    with Detector(weights, config) as detector:
        expected = detector.detect(files)
        found = on_device(detector).detect(files)
    assert found[2] == expected[2]
    assert isinstance(found[2], DetectFailure)
    for row in (0, 1, 3, 4):
        assert_same_boxes(found[row], expected[row], atol_px=0.05, atol_score=1e-3)


def test_what_is_too_much_for_the_device_is_left_to_the_cpu(
    ultralytics_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = load_weights(ultralytics_checkpoint("yolo11n"))
    config = DetectConfig(backend="torch", device="cpu", imgsz_px=160, batch=2)
    with Detector(weights, config) as detector:
        (expected,) = detector.detect(pictures(1))
        assert len(expected.score) > 5
        for module, name, value in ((device_path, "CANDIDATES", 5), (device_nms, "ROUNDS", 1)):
            with monkeypatch.context() as patch:
                patch.setattr(module, name, value)
                (found,) = on_device(detector).detect(pictures(1))
            assert_same_boxes(found, expected, atol_px=0.05, atol_score=1e-3)


def test_boxes_do_not_depend_on_who_comes_along(ultralytics_checkpoint: Callable[..., Path]) -> None:
    weights = load_weights(ultralytics_checkpoint("yolo11n"))
    config = DetectConfig(backend="torch", device="cpu", imgsz_px=160, batch=3)
    files = [*pictures(2), *pictures(2, height=240), *pictures(1, height=120, width=200)]
    with Detector(weights, config) as detector:
        on_device(detector)
        together = detector.detect(files)
        alone = [one for file in files for one in detector.detect([file])]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a.xyxy_px, b.xyxy_px)
        np.testing.assert_array_equal(a.score, b.score)


def encoded(mode: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((24, 40, 3), dtype=np.uint8)).convert(mode).save(stream, **options)
    return stream.getvalue()


def test_only_plain_whole_jpegs_are_for_the_gpu() -> None:
    good = encoded("RGB", format="JPEG")
    assert is_plain_jpeg(good)
    assert is_plain_jpeg(good + b"\x00" * 7)  # cameras fill up
    assert is_plain_jpeg(encoded("RGB", format="JPEG", comment=b"\xff\xd9", exif=b"Exif\0\0\xff\xd9"))
    for other in (
        good[:-2],
        good[: len(good) // 2],
        good[: len(good) // 2] + b"\x00" * 500,
        encoded("L", format="JPEG"),
        encoded("CMYK", format="JPEG"),
        encoded("RGB", format="JPEG", progressive=True),
        encoded("RGB", format="PNG"),
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xda",
    ):
        assert not is_plain_jpeg(other)
    cut = encoded("RGB", format="JPEG", comment=b"\xff\xd9")
    assert not is_plain_jpeg(cut[:-2])


@given(st.binary(max_size=64), st.integers(0, 700))
def test_garbage_is_not_for_the_gpu(garbage: bytes, cut: int) -> None:
    good = encoded("RGB", format="JPEG")
    assert not is_plain_jpeg(garbage)
    assert not is_plain_jpeg(good[: min(cut, len(good) - 2)])


@pytest.mark.parametrize(("gib", "expected"), [((2, 80), 1), ((24,), 6), ((141, 141), 12)])
def test_as_many_processes_share_a_gpu_as_its_memory_holds(
    gib: tuple[int, ...], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gib))
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda number: SimpleNamespace(total_memory=gib[number] << 30)
    )
    assert workers_per_gpu([BackendSpec("torch", "cuda", "fp16")]) == expected
    assert workers_per_gpu([BackendSpec("onnxruntime", "cuda", "fp32")]) == 1


needs_nvjpeg = pytest.mark.skipif(bool(nvjpeg_missing()), reason=f"no JPEGs on the GPU: {nvjpeg_missing()}")


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_gpu_gives_what_the_cpu_gives(ultralytics_checkpoint: Callable[..., Path], precision: str) -> None:
    weights = load_weights(ultralytics_checkpoint("yolo11n"))
    # Untrained, its boxes are nearly one: which of them overlap by more than a bit less is a matter of rounding.
    on_cpu = DetectConfig(backend="torch", device="cpu", imgsz_px=320, batch=8, nms_iou=1.0, conf=0.02)
    on_gpu = replace(on_cpu, device="cuda", precision=precision, jpeg_decoder="cpu")
    files = pictures(11, 720, 1280)
    files[5] = files[5][:1000]
    with Detector(weights, on_cpu) as cpu, Detector(weights, on_gpu) as gpu:
        expected, found = cpu.detect(files), gpu.detect(files)
        alone = [gpu.detect([b""] * row + [files[row]])[row] for row in range(8)]
    assert found[5] == expected[5] == alone[5]
    atol_px, atol_score = (0.5, 5e-3) if precision == "fp32" else (20.0, 0.05)
    for row in set(range(11)) - {5}:
        assert_same_boxes(found[row], expected[row], atol_px=atol_px, atol_score=atol_score)
    for row in {0, 1, 2, 3, 4, 6, 7}:
        np.testing.assert_array_equal(found[row].xyxy_px, alone[row].xyxy_px)
        np.testing.assert_array_equal(found[row].score, alone[row].score)


@needs_gpu
def test_a_graph_gives_what_its_kernels_give(
    ultralytics_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = load_weights(ultralytics_checkpoint("yolo11n"))
    config = DetectConfig(
        backend="torch", device="cuda", precision="fp16", imgsz_px=320, batch=4, jpeg_decoder="cpu"
    )
    files = [*pictures(3), *pictures(3, height=240), *pictures(3)]
    with Detector(weights, config) as detector:
        captured = [detector.detect(files) for _ in range(2)]
        monkeypatch.setattr(detector._backend, "can_be_captured", False, raising=False)
        detector._device_path = DevicePath(weights, detector.config, detector._backend)
        eager = detector.detect(files)
    for of_graph in captured:
        for a, b in zip(of_graph, eager, strict=True):
            np.testing.assert_array_equal(a.xyxy_px, b.xyxy_px)
            np.testing.assert_array_equal(a.score, b.score)


@needs_nvjpeg
def test_the_gpu_decodes_what_the_cpu_decodes(ultralytics_checkpoint: Callable[..., Path]) -> None:
    weights = load_weights(ultralytics_checkpoint("yolo11n"))
    config = DetectConfig(
        backend="torch",
        device="cuda",
        precision="fp32",
        imgsz_px=320,
        batch=4,
        dct_scaling=False,
        nms_iou=1.0,
    )
    files = pictures(6, 720, 1280)
    files[1] = files[1][:-400]
    files[3] = encoded("RGB", format="PNG")
    with (
        Detector(weights, replace(config, jpeg_decoder="cpu")) as cpu,
        Detector(weights, replace(config, jpeg_decoder="nvjpeg")) as gpu,
    ):
        assert "jpeg_decoder" not in cpu.identity()
        assert gpu.identity()["jpeg_decoder"] == "nvjpeg"
        expected, found = cpu.detect(files), gpu.detect(files)
    assert isinstance(found[1], DetectFailure)
    assert found[1] == expected[1]
    for row in (0, 2, 4, 5):
        assert_same_boxes(found[row], expected[row], atol_px=1.0, atol_score=0.02)
