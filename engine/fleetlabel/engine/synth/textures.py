"""What surfaces look like close by: colour of each material at a place, from hashed noise.

No picture is loaded: a texture is a function of the place on the object (or in the world, for what stands still), so
that it stays where it is while the camera moves. Detail that is finer than a pixel fades to its mean.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.synth.scene import Material
from fleetlabel.geometry.arrays import F64
from fleetlabel.geometry.compiled import kernel

# Linear reflectance; white where the instance has a colour of its own.
_ALBEDO: dict[Material, tuple[float, float, float]] = {
    Material.ASPHALT: (0.085, 0.085, 0.09),
    Material.MARKING: (0.62, 0.62, 0.58),
    Material.PAVEMENT: (0.27, 0.26, 0.245),
    Material.GRASS: (0.085, 0.15, 0.04),
    Material.FACADE: (1.0, 1.0, 1.0),
    Material.WINDOW: (0.03, 0.04, 0.05),
    Material.ROOF: (0.14, 0.085, 0.07),
    Material.BARK: (0.11, 0.08, 0.055),
    Material.FOLIAGE: (0.06, 0.13, 0.03),
    Material.POLE: (0.22, 0.23, 0.23),
    Material.PAINT: (1.0, 1.0, 1.0),
    Material.GLASS: (0.015, 0.018, 0.02),
    Material.RUBBER: (0.02, 0.02, 0.02),
    Material.RIM: (0.4, 0.4, 0.42),
    Material.HEADLIGHT: (0.8, 0.8, 0.78),
    Material.TAILLIGHT: (0.45, 0.02, 0.02),
    Material.PLATE: (0.75, 0.75, 0.7),
    Material.SKIN: (0.45, 0.29, 0.21),
    Material.HAIR: (0.07, 0.05, 0.035),
    Material.UPPER_CLOTHES: (1.0, 1.0, 1.0),
    Material.LOWER_CLOTHES: (1.0, 1.0, 1.0),
    Material.SIGN: (0.5, 0.5, 0.5),
    Material.UNDERBODY: (0.015, 0.015, 0.015),
}
ALBEDO: F64 = np.array([_ALBEDO[material] for material in Material])
# Share of the sky and the sun that is mirrored, seen head-on (the rest follows Schlick's law), and how sharp the sun's
# image is (Blinn-Phong exponent).
MIRROR: F64 = np.zeros(len(Material))
SHARPNESS: F64 = np.full(len(Material), 30.0)
for _material, _mirror, _sharpness in (
    (Material.WINDOW, 0.10, 400.0),
    (Material.GLASS, 0.08, 400.0),
    (Material.PAINT, 0.045, 220.0),
    (Material.RIM, 0.25, 60.0),
    (Material.HEADLIGHT, 0.15, 200.0),
    (Material.TAILLIGHT, 0.08, 150.0),
    (Material.POLE, 0.04, 40.0),
    (Material.SIGN, 0.03, 60.0),
    (Material.RUBBER, 0.01, 20.0),
):
    MIRROR[_material], SHARPNESS[_material] = _mirror, _sharpness
# Light that it gives off itself: lamps are lit by day.
GLOW: F64 = np.zeros((len(Material), 3))
GLOW[Material.HEADLIGHT] = (0.9, 0.88, 0.8)
GLOW[Material.TAILLIGHT] = (0.55, 0.01, 0.015)


@kernel
def hashed(x: int, y: int, z: int, salt: int) -> float:
    """A number in [0, 1) that three whole numbers and a salt give, always the same.

    Factors stay under 31 bits, so that no product leaves int64: compiled or not, it is the same number.
    """
    h = (x * 73856093 ^ y * 19349663 ^ z * 83492791 ^ salt * 50331653) & 0x7FFFFFFF
    h = ((h ^ (h >> 15)) * 739982445) & 0x7FFFFFFF
    h = ((h ^ (h >> 12)) * 695872825) & 0x7FFFFFFF
    return (h ^ (h >> 15)) / 2147483648.0


@kernel
def noise2(x: float, y: float, salt: int) -> float:
    """Smooth noise in [0, 1] with cells of size 1."""
    fx, fy = np.floor(x), np.floor(y)
    ix, iy = int(fx), int(fy)
    u, v = x - fx, y - fy
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    low = hashed(ix, iy, 0, salt) * (1 - u) + hashed(ix + 1, iy, 0, salt) * u
    high = hashed(ix, iy + 1, 0, salt) * (1 - u) + hashed(ix + 1, iy + 1, 0, salt) * u
    return float(low * (1 - v) + high * v)


@kernel
def noise3(x: float, y: float, z: float, salt: int) -> float:
    """Smooth noise in [0, 1] with cells of size 1."""
    fz = np.floor(z)
    w = float(z - fz)
    w = w * w * (3 - 2 * w)
    layer = int(fz) * 7919 + salt
    return noise2(x, y, layer) * (1 - w) + noise2(x, y, layer + 7919) * w


@kernel
def kept(size_m: float, footprint_m: float) -> float:
    """How much of a detail of some size is left at a pixel of some size, 0 to 1."""
    return min(1.0, max(0.0, size_m / footprint_m - 0.6))


@kernel
def joint(along: float, spacing: float, width: float, footprint_m: float) -> float:
    """Lines ``width`` wide every ``spacing`` along an axis: 1 on a line, spread out where pixels are wider."""
    wide = max(width, footprint_m)
    off = abs((along / spacing + 0.5) % 1.0 - 0.5) * spacing
    return width / wide if off < 0.5 * wide else 0.0


@kernel
def shade_of(
    material: int,
    x: float,
    y: float,
    z: float,
    nx: float,
    ny: float,
    nz: float,
    footprint_m: float,
    salt: int,
) -> tuple[float, float, float]:
    """Factors on a material's red, green and blue at a place.

    Args:
        x, y, z, nx, ny, nz: place and normal, in the object's frame or the world.
        footprint_m: how wide a pixel is there.
        salt: tells instances apart.
    """
    r = g = b = 1.0
    if material == Material.ASPHALT or material == Material.MARKING:
        fine, coarse = kept(0.03, footprint_m), kept(0.4, footprint_m)
        worn = 0.5 * (noise2(0.25 * x, 0.25 * y, 1) - 0.5) + coarse * 0.35 * (
            noise2(2.1 * x, 2.1 * y, 2) - 0.5
        )
        grain = fine * 0.7 * (noise2(40 * x, 40 * y, 3) - 0.5) if fine > 0 else 0.0
        if material == Material.MARKING:
            r = 1 + 0.7 * worn + 0.4 * grain
            if coarse > 0 and noise2(7 * x, 7 * y, 4) > 0.82:
                r -= 0.55 * coarse
        else:
            r = 1 + worn + grain
            crack = abs(noise2(0.35 * x + 0.8 * noise2(x, y, 6), 0.35 * y, 5) - 0.5)
            if crack < 0.006:
                r -= 0.45 * kept(0.05, footprint_m)
        g = b = r
    elif material == Material.PAVEMENT:
        slab = hashed(int(np.floor(x / 0.6)), int(np.floor(y / 0.6)), 0, 7)
        r = 1 + kept(0.6, footprint_m) * 0.25 * (slab - 0.5) + 0.3 * (noise2(0.5 * x, 0.5 * y, 8) - 0.5)
        r += kept(0.05, footprint_m) * 0.25 * (noise2(25 * x, 25 * y, 9) - 0.5)
        r *= 1 - 0.55 * max(joint(x, 0.6, 0.015, footprint_m), joint(y, 0.6, 0.015, footprint_m))
        g, b = r, r
    elif material == Material.GRASS:
        tuft = noise2(0.3 * x, 0.3 * y, 10) + kept(0.3, footprint_m) * (noise2(3 * x, 3 * y, 11) - 0.5)
        blade = kept(0.04, footprint_m) * 0.9 * (noise2(30 * x, 30 * y, 12) - 0.5)
        g = 0.6 + 0.8 * tuft + blade
        r, b = g * (0.75 + 0.6 * noise2(0.12 * x, 0.12 * y, 13)), g
    elif material == Material.FACADE:
        along = -ny * x + nx * y if abs(nz) < 0.7 else x
        course = np.floor(z / 0.24)
        block = hashed(int(np.floor(along / 0.5 + 0.5 * (course % 2))), int(course), 0, 14)
        near = kept(0.25, footprint_m)
        r = 1 + 0.16 * near * (block - 0.5) + 0.28 * (noise2(0.3 * along, 0.3 * z, 15) - 0.5)
        r *= 1 - 0.35 * joint(z, 0.24, 0.015, footprint_m)
        r *= 1 - 0.3 * joint(along + 0.25 * (course % 2), 0.5, 0.015, footprint_m)
        r *= 1 - 0.3 * max(0.0, 1 - 0.8 * z) * noise2(1.5 * along, 1.5 * z, 16)  # splashes above the ground
        g = b = r
    elif material == Material.WINDOW:
        along = -ny * x + nx * y
        cell = hashed(int(np.floor(along / 1.3)), int(np.floor(z / 1.6)), 0, 17)
        r = 0.5 + 1.2 * cell + (5.0 if cell > 0.8 else 0.0) * (0.6 + 0.4 * noise2(8 * along, 0.7 * z, 18))
        g, b = r, r * (0.85 if cell > 0.8 else 1.1)
    elif material == Material.ROOF:
        r = (
            0.8
            + 0.4 * noise3(x, y, z, 19)
            + kept(0.2, footprint_m) * 0.4 * (noise3(5 * x, 5 * y, 5 * z, 20) - 0.5)
        )
        g = b = r
    elif material == Material.BARK:
        r = 0.7 + 0.6 * noise3(x * 9, y * 9, z * 2, 21)
        g = b = r
    elif material == Material.FOLIAGE:
        leaf = noise3(1.6 * x, 1.6 * y, 1.6 * z, 22)
        fine = kept(0.09, footprint_m) * (noise3(11 * x, 11 * y, 11 * z, 23) - 0.5)
        middle = kept(0.25, footprint_m) * (noise3(4.5 * x, 4.5 * y, 4.5 * z, 24) - 0.5)
        g = max(0.12, 0.35 + 0.8 * leaf + 1.0 * fine + 0.9 * middle)
        r, b = g * (0.7 + 0.8 * noise2(0.07 * x, 0.07 * y, 25)), g
    elif material == Material.PAINT:
        r = 1 - 0.25 * kept(0.2, footprint_m) * max(0.0, noise3(3 * x, 3 * y, 3 * z, salt) - 0.55)
        g = b = r
    elif material == Material.PLATE:
        letters = joint(y, 0.075, 0.035, footprint_m) * (1.0 if abs(y) < 0.22 else 0.0)
        r = g = b = 1 - 0.8 * letters * kept(0.05, footprint_m)
    elif material == Material.SKIN:
        tone = 0.3 + 0.9 * hashed(salt, 1, 2, 26)
        r, g, b = tone, tone * tone**0.15, tone * tone**0.3
    elif material == Material.HAIR:
        tone = 0.3 + 4.0 * hashed(salt, 3, 4, 27) ** 3
        r, g, b = tone, 0.9 * tone, 0.75 * tone
    elif material == Material.UPPER_CLOTHES or material == Material.LOWER_CLOTHES:
        fold = noise3(6 * x, 6 * y, 4 * z, salt)
        stripes = 0.3 if hashed(salt, material, 5, 28) > 0.75 and material == Material.UPPER_CLOTHES else 0.0
        r = 0.75 + 0.5 * fold - stripes * joint(z, 0.12, 0.06, footprint_m)
        g = b = r
    elif material == Material.SIGN:
        kind = hashed(int(np.floor(x / 3)), int(np.floor(y / 3)), 0, 29)
        if kind < 0.4:
            r, g, b = 0.1, 0.35, 1.2
        elif kind < 0.75:
            r, g, b = 1.3, 0.12, 0.1
        else:
            r, g, b = 1.3, 1.0, 0.15
        r += 0.4 * kept(0.1, footprint_m) * joint(z, 0.22, 0.06, footprint_m)
    elif material == Material.RUBBER:
        r = g = b = 0.7 + 0.8 * noise3(15 * x, 15 * y, 15 * z, 30)
    return max(r, 0.02), max(g, 0.02), max(b, 0.02)
