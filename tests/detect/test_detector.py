"""Pictures in, boxes out: in place, in order, whatever the batch, and a bad picture stops nobody else's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detect.small_models import picture_with, square_finder
from fleetlabel.engine.detect import DetectConfig, DetectFailure, Detector, FrameDetections, load_weights
from fleetlabel.engine.steps import recording
from fleetlabel.geometry.iou import iou_2d
from fleetlabel.model.errors import ModelFileError

CONFIG = DetectConfig(backend="onnxruntime", conf=0.3)


def only(results: list[FrameDetections | DetectFailure]) -> FrameDetections:
    (result,) = results
    assert isinstance(result, FrameDetections)
    return result


def assert_same(
    a: FrameDetections | DetectFailure, b: FrameDetections | DetectFailure, atol: float = 0
) -> None:
    if isinstance(a, DetectFailure) or isinstance(b, DetectFailure):
        assert a == b
        return
    np.testing.assert_array_equal(a.class_id, b.class_id)
    np.testing.assert_allclose(a.score, b.score, atol=atol)
    np.testing.assert_allclose(a.xyxy_px, b.xyxy_px, atol=atol)


def test_squares_are_found_where_they_are(model: Path) -> None:
    with Detector(load_weights(model), CONFIG) as detector:
        found = only(detector.detect([picture_with({(16, 32, 32, 48): 0, (64, 64, 80, 80): 2})]))
        assert detector.class_names == ("red", "green", "blue")
    assert found.xyxy_px.dtype == np.float64
    assert found.score.dtype == np.float32
    assert found.class_id.dtype == np.int16
    order = np.argsort(found.class_id)
    assert found.class_id[order].tolist() == [0, 2]
    np.testing.assert_allclose(found.xyxy_px[order], [[16, 32, 32, 48], [64, 64, 80, 80]], atol=1e-9)
    assert (found.score > 0.9).all()


def test_boxes_are_in_pixels_of_the_original_picture(model: Path) -> None:
    # 384 x 192 shrinks by 4 and is padded by 24 network pixels above and below; a cell is 64 pixels.
    square = (64, 32, 128, 96)
    for dct_scaling in (True, False):
        with Detector(load_weights(model), replace(CONFIG, dct_scaling=dct_scaling, conf=0.1)) as detector:
            found = only(detector.detect([picture_with({square: 1}, width=384, height=192)]))
        best = found.xyxy_px[0]
        assert iou_2d(best[None], np.array([square], dtype=float))[0, 0] > 0.5
        assert best[0] == 64
        assert best[2] == 128


def test_tiles_find_what_is_too_small_for_the_full_picture(model: Path) -> None:
    # One pixel of the network's input sees 16 of the picture: a square of 64 is a quarter of a cell each way.
    picture = picture_with({(704, 320, 768, 384): 0}, width=1536, height=768)
    weights = load_weights(model)
    with Detector(weights, CONFIG) as detector:
        assert len(only(detector.detect([picture])).score) == 0
    with Detector(weights, replace(CONFIG, tiles=(8, 4))) as detector:
        found = only(detector.detect([picture]))
    assert len(found.score) >= 1
    assert iou_2d(found.xyxy_px[:1], np.array([[704.0, 320, 768, 384]]))[0, 0] > 0.3


def test_an_object_seen_by_several_tiles_is_one_object(model: Path) -> None:
    picture = picture_with({(80, 32, 112, 64): 2}, width=192, height=96)
    with Detector(load_weights(model), replace(CONFIG, tiles=(2, 1), conf=0.5)) as detector:
        found = only(detector.detect([picture]))
    overlap = iou_2d(found.xyxy_px, found.xyxy_px) - np.eye(len(found.score))
    assert (overlap <= CONFIG.nms_iou).all()
    assert (found.class_id == 2).all()


def test_a_bad_picture_stops_nobody_elses(model: Path) -> None:
    good = picture_with({(16, 32, 32, 48): 0})
    with Detector(load_weights(model), CONFIG) as detector:
        results = detector.detect([good, b"", good[: len(good) // 2], b"no picture", good])
        assert [type(result) for result in results] == [
            *(FrameDetections, DetectFailure, DetectFailure, DetectFailure, FrameDetections)
        ]
        assert isinstance(results[1], DetectFailure)
        assert "zero bytes" in results[1].reason
        assert_same(results[0], results[4])
        assert detector.detect([]) == []


@pytest.fixture
def pictures() -> list[bytes]:
    rng = np.random.default_rng(3)
    pictures = []
    for number in range(9):
        x, y = (16 * rng.integers(0, 5, 2)).tolist()
        squares = {(x, y, x + 16, y + 16): int(rng.integers(0, 3)), (0, 80, 16, 96): number % 3}
        pictures.append(picture_with(squares, width=96 + 32 * (number % 3), height=96))
    return [*pictures[:5], b"broken", *pictures[5:]]


def test_boxes_do_not_depend_on_batch_prefetch_or_what_came_before(
    tmp_path: Path, pictures: list[bytes]
) -> None:
    weights = load_weights(square_finder(tmp_path / "batch.onnx", batch="n"))
    config = replace(CONFIG, tiles=(2, 1), conf=0.05)
    with Detector(weights, config) as detector:
        one_by_one = [result for picture in pictures for result in detector.detect([picture])]
    for changes in (
        {"batch": 1},
        {"batch": 4},
        {"batch": 7, "prefetch": 5},
        {"prefetch": 1},
        {"prefetch": 0},
    ):
        with Detector(weights, replace(config, **changes)) as detector:
            for a, b in zip(one_by_one, detector.detect(pictures), strict=True):
                assert_same(a, b, atol=1e-5)
    with Detector(weights, replace(config, batch=4)) as detector:
        together = detector.detect(pictures)
        for start in range(0, len(pictures), 3):  # any chunk length gives the very same boxes
            for a, b in zip(
                together[start : start + 3], detector.detect(pictures[start : start + 3]), strict=True
            ):
                assert_same(a, b)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_one_detector_may_be_shared_by_threads(model: Path, pictures: list[bytes], backend: str) -> None:
    pytest.importorskip(backend)
    with Detector(load_weights(model), replace(CONFIG, backend=backend, precision="fp32")) as detector:
        alone = detector.detect(pictures)
        with ThreadPoolExecutor(4) as pool:
            for results in pool.map(detector.detect, [pictures] * 8):
                for a, b in zip(alone, results, strict=True):
                    assert_same(a, b)


def test_end_to_end_networks(tmp_path: Path, model: Path) -> None:
    picture = picture_with({(16, 32, 32, 48): 0, (64, 64, 80, 80): 2})
    with Detector(load_weights(model), CONFIG) as detector:
        grid = only(detector.detect([picture]))
    weights = load_weights(square_finder(tmp_path / "e2e.onnx", end_to_end=True))
    with Detector(weights, CONFIG) as detector:
        assert_same(only(detector.detect([picture])), grid, atol=1e-4)


def test_identity_names_what_boxes_depend_on_and_nothing_else(model: Path) -> None:
    weights = load_weights(model)

    def identity(**changes: object) -> dict[str, object]:
        with Detector(weights, replace(CONFIG, **changes)) as detector:
            return detector.identity()

    base = identity()
    assert base["model_sha256"] == weights.sha256
    assert (base["backend"], base["device"], base["precision"], base["imgsz_px"]) == (
        "onnxruntime",
        "cpu",
        "fp32",
        96,
    )
    assert identity(threads=2, prefetch=4) == base
    for change in ({"tiles": (2, 1)}, {"conf": 0.2}, {"nms_iou": 0.5}, {"interpolation": "linear"}):
        assert identity(**change) != base


def test_a_checkpoint_runs_at_any_size(ultralytics_checkpoint: Callable[..., Path]) -> None:
    weights = load_weights(ultralytics_checkpoint("yolo11n"))
    picture = picture_with({(16, 32, 32, 48): 0}, width=128, height=72)
    for imgsz in (64, 128):
        with Detector(weights, DetectConfig(imgsz_px=imgsz, conf=0.01, device="cpu")) as detector:
            found = only(detector.detect([picture]))
            assert detector.identity()["imgsz_px"] == imgsz
            assert (found.xyxy_px[:, 2] <= 128).all()
            assert (found.xyxy_px[:, 3] <= 72).all()
    assert "torchvision" not in sys.modules


@pytest.mark.parametrize("prefetch", [0, 2])
def test_steps_tell_what_was_done(model: Path, pictures: list[bytes], prefetch: int) -> None:
    config = replace(CONFIG, tiles=(2, 1), prefetch=prefetch)
    with Detector(load_weights(model), config) as detector, recording() as times:
        found = detector.detect(pictures)
    good = [one for one in found if isinstance(one, FrameDetections)]
    frames = {name: sum(t.frames for t in times if t.name == name) for name in {t.name for t in times}}
    assert frames["decode"] in (len(good), len(pictures))  # the broken one may be found out by its header
    assert frames["preprocess"] == frames["nms"] == len(good)
    assert frames["inference"] == sum(1 for t in times if t.name == "inference") > len(good)  # tiles
    assert all(t.n_bytes > 0 for t in times if t.name in ("preprocess", "inference"))


def test_a_model_that_vanished_after_it_was_described(model: Path) -> None:
    weights = load_weights(model)
    model.unlink()
    with pytest.raises(ModelFileError, match=r"squares.onnx"):
        Detector(weights, CONFIG)


def test_real_cars_in_a_real_picture(data_dir: Path, models_dir: Path) -> None:
    jpegs = [
        (data_dir / "pandaset_drive" / "camera" / camera / "05.jpg").read_bytes()
        for camera in ("front_camera", "left_camera")
    ]
    weights = load_weights(models_dir / "yolo11n_int8.onnx")
    car = weights.class_names.index("car")
    config = DetectConfig(backend="onnxruntime", precision="fp32", conf=0.25)
    with Detector(weights, config) as plain, Detector(weights, replace(config, tiles=(3, 1))) as tiled:
        n_plain = sum(int((only([r]).class_id == car).sum()) for r in plain.detect(jpegs))
        results = [only([r]) for r in tiled.detect(jpegs)]
    n_tiled = sum(int((r.class_id == car).sum()) for r in results)
    assert n_tiled > n_plain >= 4
    for result in results:
        assert (result.xyxy_px >= 0).all()
        assert (result.xyxy_px <= [1920, 1080, 1920, 1080]).all()


def test_a_real_picture_gives_what_ultralytics_own_steps_give(data_dir: Path, models_dir: Path) -> None:
    pytest.importorskip("ultralytics", reason="ultralytics, the oracle, is not installed")
    from fleetlabel.engine.detect.torch_backend import prepare_ultralytics

    prepare_ultralytics()
    import onnxruntime
    import simplejpeg
    import torch
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import scale_boxes

    path = models_dir / "yolo11n_int8.onnx"
    jpeg = (data_dir / "pandaset_drive" / "camera" / "front_camera" / "05.jpg").read_bytes()
    rgb = simplejpeg.decode_jpeg(jpeg)
    network_input = LetterBox((320, 320))(image=rgb).transpose(2, 0, 1)[None].astype(np.float32) / 255
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    output = torch.from_numpy(session.run(None, {"images": network_input})[0])
    expected = non_max_suppression(output, conf_thres=0.1, iou_thres=0.6)[0]
    expected[:, :4] = scale_boxes((320, 320), expected[:, :4], rgb.shape)

    config = replace(CONFIG, precision="int8", conf=0.1, interpolation="linear", dct_scaling=False)
    with Detector(load_weights(path), config) as detector:
        found = only(detector.detect([jpeg]))
    assert len(found.score) == len(expected) > 10
    np.testing.assert_array_equal(found.class_id, expected[:, 5].numpy())
    np.testing.assert_allclose(found.score, expected[:, 4].numpy(), atol=1e-5)
    np.testing.assert_allclose(found.xyxy_px, expected[:, :4].numpy(), atol=0.05)
