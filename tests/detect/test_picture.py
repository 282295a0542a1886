"""A picture is decoded whole or refused with the reason."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fleetlabel.engine.detect.picture import decode_picture, picture_size, reduction_for
from fleetlabel.model.errors import DecodeError


def smooth_picture(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x % 256, y % 256, (x + y) // 2 % 256], axis=2).astype(np.uint8)


@pytest.fixture
def jpeg() -> bytes:
    return simplejpeg.encode_jpeg(smooth_picture(203, 301), 95, "RGB", "420")


def test_size_and_pixels(jpeg: bytes) -> None:
    assert picture_size(jpeg) == (301, 203)
    picture = decode_picture(jpeg)
    assert (picture.width_px, picture.height_px, picture.reduction) == (301, 203, 1)
    oracle = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), dtype=int)
    assert np.abs(picture.rgb.astype(int) - oracle).mean() < 2


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_reduced_decoding_is_a_smaller_picture_of_the_same(jpeg: bytes, reduction: int) -> None:
    small = decode_picture(jpeg, reduction=reduction)
    assert small.rgb.shape == (-(-203 // reduction), -(-301 // reduction), 3)
    assert (small.width_px, small.height_px) == (301, 203)
    whole = decode_picture(jpeg).rgb[: 203 // 8 * 8, : 301 // 8 * 8].astype(float)
    means = whole.reshape(203 // 8 * 8 // reduction, reduction, -1, reduction, 3).mean(axis=(1, 3))
    difference = np.abs(small.rgb[: means.shape[0], : means.shape[1]] - means)
    assert np.median(difference) < 3


def test_grey_jpeg_becomes_rgb() -> None:
    grey = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64, 1)
    rgb = decode_picture(simplejpeg.encode_jpeg(grey, 90, "GRAY")).rgb
    assert rgb.shape == (64, 64, 3)
    assert (rgb[..., 0] == rgb[..., 1]).all()


def test_exif_orientation_does_not_turn_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees when shown
    buffer = io.BytesIO()
    Image.fromarray(smooth_picture(40, 80)).save(buffer, "jpeg", exif=exif)
    assert decode_picture(buffer.getvalue()).rgb.shape == (40, 80, 3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda jpeg: b"", "zero bytes"),
        (lambda jpeg: b"GIF8" + jpeg, "neither JPEG nor PNG"),
        (lambda jpeg: b"\x89PNG\r\n\x1a\n" + jpeg, "PNG header is damaged"),
        (lambda jpeg: jpeg[:20], "header is damaged"),
        (lambda jpeg: jpeg[: len(jpeg) // 2], "damaged"),
        (lambda jpeg: jpeg[:-40], "damaged"),
        (lambda jpeg: jpeg[: len(jpeg) // 2] + bytes(300) + jpeg[len(jpeg) // 2 + 300 :], "damaged"),
    ],
)
def test_damage_is_an_error_that_says_what_is_wrong(jpeg: bytes, damage, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode_picture(damage(jpeg))


def test_absurd_size_in_the_header_is_refused_before_memory_is_taken(jpeg: bytes) -> None:
    frame = jpeg.index(b"\xff\xc0")
    huge = jpeg[: frame + 5] + b"\xfd\xe8\xfd\xe8" + jpeg[frame + 9 :]
    with pytest.raises(DecodeError, match="65000 x 65000"):
        decode_picture(huge)


def test_stray_bytes_after_the_last_row_are_no_damage(jpeg: bytes) -> None:
    picture = decode_picture(jpeg[:-2] + b"\x00\x00\x00" + jpeg[-2:])
    np.testing.assert_array_equal(picture.rgb, decode_picture(jpeg).rgb)


def test_trailing_bytes_are_no_damage(jpeg: bytes) -> None:
    np.testing.assert_array_equal(decode_picture(jpeg + b"more").rgb, decode_picture(jpeg).rgb)


def test_reduction_never_leaves_fewer_pixels_than_the_network_sees() -> None:
    assert [reduction_for(scale) for scale in (1.2, 1.0, 0.51, 0.5, 0.26, 0.25, 0.2, 0.125, 0.01)] == [
        *(1, 1, 1, 2, 2, 4, 4, 8, 8)
    ]


def png_of(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


RGB = smooth_picture(40, 60)
PNG = png_of(RGB[..., ::-1])


@pytest.mark.parametrize(
    ("png", "rgb"),
    [
        (PNG, RGB),
        (png_of(RGB[..., ::-1].astype(np.uint16) * 257), RGB),
        (png_of(np.dstack([RGB[..., ::-1], RGB[..., 0]])), RGB),
        (png_of(RGB[..., 0]), RGB[..., [0, 0, 0]]),
        (png_of(RGB[..., 0].astype(np.uint16) * 256), RGB[..., [0, 0, 0]]),
        (PNG + b"more", RGB),
    ],
    ids=["colour", "16 bits", "alpha", "grey", "grey in 16 bits", "trailing bytes"],
)
def test_pngs_of_all_kinds_become_rgb_without_loss(png: bytes, rgb: np.ndarray) -> None:
    picture = decode_picture(png, reduction=4)
    assert (picture.width_px, picture.height_px, picture.reduction) == (60, 40, 1)
    assert picture_size(png) == (60, 40)
    np.testing.assert_array_equal(picture.rgb, rgb)


@given(length=st.integers(0, len(PNG) - 1))
def test_a_png_that_is_cut_off_is_refused_wherever_it_was_cut(length: int) -> None:
    with pytest.raises(DecodeError):
        decode_picture(PNG[:length])


@given(place=st.integers(8, len(PNG) - 1), change=st.integers(1, 255))
def test_a_png_with_any_byte_changed_is_refused(place: int, change: int) -> None:
    damaged = bytearray(PNG)
    damaged[place] ^= change
    with pytest.raises(DecodeError):
        decode_picture(bytes(damaged))


def test_absurd_size_of_a_png_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(DecodeError, match="65000 x 65000"):
        decode_picture(PNG[:16] + (65000).to_bytes(4, "big") * 2 + PNG[24:])
