"""What a camera makes of light: exposure, tone curve, a lens that is not perfectly sharp, noise, and a JPEG."""

from __future__ import annotations

import numpy as np
import simplejpeg

from fleetlabel.engine.synth.textures import hashed
from fleetlabel.geometry.arrays import F32, U8
from fleetlabel.geometry.compiled import kernel

_CURVE_STEPS = 4096
_NOISE = 2.2  # eight-bit steps in mid-greys, a little more in the dark


def develop(light: F32, exposure: float, seed: int) -> U8:
    """A picture (H, W, 3) uint8 RGB of linear light (H, W, 3).

    Args:
        exposure: factor on the light.
        seed: of the sensor's noise; one per camera and frame.
    """
    toned = np.empty(light.shape, dtype=np.float32)
    picture = np.empty(light.shape, dtype=np.uint8)
    _tone(light, exposure, _CURVE, toned)
    _expose(toned, seed, picture)
    return picture


def encode(picture: U8, quality: int) -> bytes:
    """A picture as JPEG."""
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=quality, colorspace="RGB")
    return jpeg


def _curve() -> F32:
    """Eight-bit values of light on a square-root scale from 0 to 4: a filmic curve (Narkowicz, 2015), then gamma."""
    light = 4.0 * (np.arange(_CURVE_STEPS) / (_CURVE_STEPS - 1)) ** 2
    filmic = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    toned: F32 = (255.0 * np.clip(filmic, 0, 1) ** (1 / 2.2)).astype(np.float32)
    return toned


_CURVE: F32 = _curve()


@kernel
def _tone(light: F32, exposure: float, curve: F32, toned: F32) -> None:
    height, width = light.shape[0], light.shape[1]
    last = len(curve) - 1
    for y in range(height):
        for x in range(width):
            u, v = (x + 0.5) / width - 0.5, ((y + 0.5) / height - 0.5) * height / width
            bright = exposure * (1 - 0.55 * (u * u + v * v))  # darker towards the corners
            for c in range(3):
                value = min(max(light[y, x, c] * bright, 0.0), 4.0)
                toned[y, x, c] = curve[int(np.sqrt(value * 0.25) * last + 0.5)]


@kernel
def _expose(toned: F32, seed: int, picture: U8) -> None:
    """Softens a little everywhere and more across sharp edges, where the rays alone would leave stairs."""
    height, width = toned.shape[0], toned.shape[1]
    for y in range(height):
        up, down = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            across = abs(toned[y, left, 1] - toned[y, right, 1]) + abs(toned[up, x, 1] - toned[down, x, 1])
            soft = 0.07 + (0.09 if across > 36 else 0.0)
            grain = hashed(x, y, 1, seed) + hashed(x, y, 2, seed) - 1.0
            for c in range(3):
                own = toned[y, x, c]
                around = toned[y, left, c] + toned[y, right, c] + toned[up, x, c] + toned[down, x, c]
                value = own + soft * (around - 4 * own)
                strength = _NOISE * (1.5 - value / 255.0)
                value += strength * (grain + 0.7 * (hashed(x, y, 3 + c, seed) - 0.5))
                picture[y, x, c] = int(min(max(value + 0.5, 0.0), 255.0))
