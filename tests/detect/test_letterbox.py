"""A picture lies in the network's input exactly as ultralytics would lay it, and boxes find back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.detect import shrink
from fleetlabel.engine.detect.letterbox import fit, network_input, smallest_input
from fleetlabel.engine.detect.shrink import shrink_by_area

sides = st.integers(1, 400)
network_sides = st.sampled_from([32, 64, 96, 320])


def ultralytics_letterbox(*args: object, **kwargs: object):
    pytest.importorskip("ultralytics", reason="ultralytics, the oracle, is not installed")
    from fleetlabel.engine.detect.torch_backend import prepare_ultralytics

    prepare_ultralytics()
    from ultralytics.data.augment import LetterBox

    return LetterBox(*args, **kwargs)


@given(sides, sides, network_sides, network_sides, st.booleans(), st.integers(0, 2**32 - 1))
def test_same_pixels_as_ultralytics(
    height: int, width: int, network_height: int, network_width: int, scaleup: bool, seed: int
) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    oracle = ultralytics_letterbox((network_height, network_width), scaleup=scaleup)(image=rgb)
    place = fit((height, width), (network_height, network_width), scaleup=scaleup)
    np.testing.assert_allclose(
        network_input(rgb, place, "linear"), oracle.transpose(2, 0, 1) / 255.0, atol=1e-7
    )


@given(sides, sides, st.sampled_from([64, 96, 320]))
def test_free_input_size_is_that_of_ultralytics_auto(height: int, width: int, imgsz: int) -> None:
    rgb = np.zeros((height, width, 3), dtype=np.uint8)
    oracle = ultralytics_letterbox((imgsz, imgsz), auto=True, stride=32)(image=rgb)
    assert smallest_input((height, width), imgsz, 32) == oracle.shape[:2]


@given(sides, sides, network_sides)
def test_boxes_find_back(height: int, width: int, network: int) -> None:
    place = fit((height, width), (network, network))
    whole = np.array(
        [[place.left, place.top, place.left + place.resized_hw[1], place.top + place.resized_hw[0]]],
        dtype=np.float32,
    )
    np.testing.assert_allclose(place.to_source(whole), [[0, 0, width, height]], atol=1e-9)


def test_boxes_agree_with_ultralytics_to_its_rounding() -> None:
    pytest.importorskip("ultralytics", reason="ultralytics, the oracle, is not installed")
    import torch
    from ultralytics.utils.ops import scale_boxes

    rng = np.random.default_rng(0)
    for height, width in [(1080, 1920), (900, 1600), (375, 1242), (721, 333)]:
        boxes = rng.uniform(0, 320, (50, 4)).astype(np.float32)
        oracle = scale_boxes(
            (320, 320), torch.from_numpy(boxes.copy()), (height, width), padding=True
        ).numpy()
        ours = np.clip(fit((height, width), (320, 320)).to_source(boxes), 0, [width, height, width, height])
        # ultralytics scales both axes by one factor and so is off by the rounding of the resized side.
        np.testing.assert_allclose(ours, oracle, atol=0.5 * max(height, width) / 320)


def test_area_keeps_what_linear_shrinking_skips() -> None:
    rgb = np.zeros((320, 320, 3), dtype=np.uint8)
    rgb[:, ::16] = 255  # thin bars, one pixel in sixteen
    place = fit((320, 320), (32, 32))
    assert network_input(rgb, place, "area").std() < network_input(rgb, place, "linear").std()
    assert abs(float(network_input(rgb, place, "area").mean()) - rgb.mean() / 255) < 1e-3


@given(st.data())
def test_shrinking_by_area_is_opencvs_to_its_rounding(data: st.DataObject) -> None:
    height, width = data.draw(sides), data.draw(sides)
    target = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    picture = np.random.default_rng(height * width).integers(
        0, 256, (height + 4, width + 4, 3), dtype=np.uint8
    )
    part = picture[1 : height + 1, 2 : width + 2]
    out = np.empty((3, *target), dtype=np.float32)
    shrink_by_area(part, out)
    oracle = cv2.resize(part, target[::-1], interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    np.testing.assert_allclose(255 * out, oracle, atol=0.51)


def test_shrinking_without_numba_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (203, 301, 3), dtype=np.uint8)
    compiled, plain = np.empty((3, 77, 96), dtype=np.float32), np.empty((3, 77, 96), dtype=np.float32)
    shrink_by_area(rgb, compiled)
    monkeypatch.setattr(shrink, "HAVE_NUMBA", False)
    shrink_by_area(rgb, plain)
    np.testing.assert_allclose(plain, compiled, atol=1e-5)
