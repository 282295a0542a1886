"""How bright each pixel is: sun, shadows, sky, mirrored sky, haze and clouds; linear light, before the camera.

Diffuse surfaces are lit by the sun where nothing blocks it, by the sky from above and by light from the ground from
below. Smooth ones mirror sky and sun by Schlick's law. Distance fades to the sky's colour by the haze.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.cells import Cells, cell_at
from fleetlabel.engine.synth.raycast import Casters
from fleetlabel.engine.synth.scene import TINTED, Light, Material
from fleetlabel.engine.synth.shadows import in_shade_of_objects
from fleetlabel.engine.synth.sight import SCENERY, SKY, Lens, Sight
from fleetlabel.engine.synth.sun_map import in_shade
from fleetlabel.engine.synth.textures import ALBEDO, GLOW, MIRROR, SHARPNESS, noise2, shade_of
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F32, F64, I32, I64, U8, Bool
from fleetlabel.geometry.compiled import kernel

# Shadow rays start this far off the surface: further than float32 is wrong about where the surface is.
_LIFT_M = 0.01
_FAR_M = 70.0  # beyond it nobody sees that the ground is darker beside an object
_DIMMED_M = 1.2  # beside an object
_NO_SHADOWS = 0.03  # sun to sky; under it nobody sees a shadow
_TINT_ROW: I64 = np.full(len(Material), -1, dtype=np.int64)
for _row, _material in enumerate(TINTED):
    _TINT_ROW[_material] = _row
_LINEAR: F64 = (np.arange(256) / 255.0) ** 2.2


@dataclass(frozen=True, slots=True, eq=False)
class _Surfaces:
    """Triangles of all objects in a sight, one after the other; ``first[k]`` is object k's first."""

    first: I64
    normal: F32
    material: U8
    rotation: F64
    center: F64


def shade(sight: Sight, lens: Lens, light: Light, casters: Casters) -> F32:
    """Linear light (H, W, 3) float32 of a picture."""
    surfaces = _surfaces(sight, casters)
    lit = _sunlit(sight, lens, light, casters, surfaces)
    out = np.empty((*sight.owner.shape, 3), dtype=np.float32)
    actors, scenery = sight.actors, sight.scenery.caster
    step = lens.directions[len(lens.directions) // 2, lens.directions.shape[1] // 2 :][:2].astype(np.float64)
    about = _objects_about(sight)
    _shade(
        lens.directions,
        np.ascontiguousarray(sight.world_from_camera),
        sight.depth_m,
        sight.owner,
        sight.triangle,
        lit,
        scenery.normal,
        scenery.material,
        scenery.tint_rgb,
        surfaces.first,
        surfaces.normal,
        surfaces.material,
        surfaces.rotation,
        surfaces.center,
        0.5 * actors.size_lwh_m,
        actors.object_id,
        actors.tints_rgb,
        about.low,
        about.size,
        about.shape,
        about.first,
        about.rows,
        light.sun_direction,
        light.sun_rgb,
        light.sky_rgb,
        light.haze_per_m,
        float(np.linalg.norm(step[1] - step[0])),
        out,
    )
    return out


def _surfaces(sight: Sight, casters: Casters) -> _Surfaces:
    actors = sight.actors
    rotation = quaternion.to_matrix(actors.q_wxyz).reshape(-1, 3, 3)
    seen = np.flatnonzero(sight.outline_px)
    meshes = [casters.mesh(actors.mesh[row]) for row in seen]
    first = np.zeros(len(actors.object_id), dtype=np.int64)
    first[seen] = np.cumsum([0, *(len(mesh.material) for mesh in meshes)])[: len(seen)]
    return _Surfaces(
        first,
        np.concatenate([np.empty((0, 3), np.float32), *(mesh.normal for mesh in meshes)]),
        np.concatenate([np.empty(0, np.uint8), *(mesh.material for mesh in meshes)]),
        rotation,
        actors.center_m,
    )


def _objects_about(sight: Sight) -> Cells:
    """Places on the ground near the camera, with the objects that take of their share of the sky."""
    middle, actors = sight.world_from_camera[:2, 3], sight.actors
    reach = 0.5 * actors.size_lwh_m[:, :1] + _DIMMED_M
    place = actors.center_m[:, :2]
    return Cells.of_boxes(middle - _FAR_M, middle + _FAR_M, 2.0, place - reach, place + reach)


def _sunlit(sight: Sight, lens: Lens, light: Light, casters: Casters, surfaces: _Surfaces) -> Bool:
    """Which pixels (H, W) the sun shines on directly."""
    lit = np.zeros(sight.owner.shape, dtype=np.bool_)
    if light.sun_rgb.max() < _NO_SHADOWS * light.sky_rgb.max():
        return lit
    pixels = np.empty(lit.size, dtype=np.int32)
    rays = np.empty((lit.size, 6), dtype=np.float32)
    camera = sight.world_from_camera.copy()
    camera[:3, 3] -= sight.scenery.anchor_m
    anchor, shades = sight.scenery.anchor_m, sight.scenery.sun_map
    n = _sun_rays(
        lens.directions, camera, sight.depth_m, sight.owner, sight.triangle, sight.scenery.caster.normal,
        surfaces.first, surfaces.normal, surfaces.rotation, light.sun_direction,
        shades.from_frame, shades.cells.low, shades.cells.size, shades.cells.shape, shades.cells.first,
        shades.cells.rows, shades.edges, shades.height, pixels, rays,
    )  # fmt: skip
    shaded = in_shade_of_objects(rays[:n], sight.actors, casters, anchor, shades.from_frame)
    lit.reshape(-1)[pixels[:n][~shaded]] = True
    return lit


@kernel
def _sun_rays(
    directions: F32, camera: F64, depth: F32, owner: I32, triangle: I32, scenery_normal: F32,
    first: I64, normal: F32, rotation: F64, sun: F64,
    from_frame: F64, low: F64, cell_m: float, shape: I64, first_row: I64, rows: I32, edges: F64, plane: F64,
    pixels: I32, rays: F32,
) -> int:  # fmt: skip
    """Rays towards the sun from every surface that faces it and that no scenery shades, in the scenery's frame."""
    height, width = owner.shape
    n = 0
    for y in range(height):
        for x in range(width):
            who = owner[y, x]
            if who == SKY:
                continue
            d = directions[y, x]
            dx = camera[0, 0] * d[0] + camera[0, 1] * d[1] + camera[0, 2] * d[2]
            dy = camera[1, 0] * d[0] + camera[1, 1] * d[1] + camera[1, 2] * d[2]
            dz = camera[2, 0] * d[0] + camera[2, 1] * d[1] + camera[2, 2] * d[2]
            if who == SCENERY:
                m = scenery_normal[triangle[y, x]]
                nx, ny, nz = float(m[0]), float(m[1]), float(m[2])
            else:
                m = normal[first[who] + triangle[y, x]]
                r = rotation[who]
                nx = r[0, 0] * m[0] + r[0, 1] * m[1] + r[0, 2] * m[2]
                ny = r[1, 0] * m[0] + r[1, 1] * m[1] + r[1, 2] * m[2]
                nz = r[2, 0] * m[0] + r[2, 1] * m[1] + r[2, 2] * m[2]
            lift = _LIFT_M if nx * dx + ny * dy + nz * dz <= 0 else -_LIFT_M
            if (nx * sun[0] + ny * sun[1] + nz * sun[2]) * lift <= 0:
                continue
            t = depth[y, x]
            px = camera[0, 3] + t * dx + lift * nx
            py = camera[1, 3] + t * dy + lift * ny
            pz = camera[2, 3] + t * dz + lift * nz
            if in_shade(px, py, pz, from_frame, low, cell_m, shape, first_row, rows, edges, plane):
                continue
            pixels[n] = y * width + x
            rays[n, 0], rays[n, 1], rays[n, 2] = px, py, pz
            rays[n, 3], rays[n, 4], rays[n, 5] = sun[0], sun[1], sun[2]
            n += 1
    return n


@kernel
def _sky(dx: float, dy: float, dz: float, sun: F64, sun_rgb: F64, sky_rgb: F64) -> tuple[float, float, float]:
    """Light of the sky in a direction: pale at the horizon, deeper above, clouds, and a glow around the sun."""
    up = max(dz, 0.0)
    brightness = sun_rgb[0] + sun_rgb[1] + sun_rgb[2]
    clear = min(1.0, brightness / (brightness + sky_rgb[0] + sky_rgb[1] + sky_rgb[2] + 1e-9) * 1.6)
    # A clear zenith is darker and bluer than the mean of the sky; an overcast one is brighter than the horizon.
    deep = np.sqrt(up)
    r = sky_rgb[0] * (1.25 - clear * 0.75 * deep)
    g = sky_rgb[1] * (1.2 - clear * 0.5 * deep)
    b = sky_rgb[2] * (1.15 - clear * 0.15 * deep)
    if dz > 0.015:
        px, py = dx / (dz + 0.12), dy / (dz + 0.12)
        cloud = 0.55 * noise2(1.1 * px, 1.1 * py, 101) + 0.3 * noise2(2.7 * px, 2.7 * py, 102)
        cloud += 0.15 * noise2(6.5 * px, 6.5 * py, 103)
        cover = min(1.0, max(0.0, (cloud - 0.3 - 0.2 * clear) * 4.0)) * min(1.0, dz * 8.0)
        white = (sky_rgb[0] + sky_rgb[1] + sky_rgb[2]) / 3 * (1.05 + 0.5 * clear + 0.5 * (cloud - 0.5))
        cover *= 0.85
        r, g, b = r + cover * (white - r), g + cover * (white - g), b + cover * (white - b)
    toward = dx * sun[0] + dy * sun[1] + dz * sun[2]
    if toward > 0.8:
        glow = 0.25 * ((toward - 0.8) * 5) ** 4 + (6.0 if toward > 0.9996 else 0.0)
        r, g, b = r + glow * sun_rgb[0], g + glow * sun_rgb[1], b + glow * sun_rgb[2]
    return r, g, b


@kernel
def _open_sky(x: float, y: float, about: I32, center: F64, half: F64, rotation: F64) -> float:
    """Share of the sky that objects standing about leave to a place on the ground."""
    left = 1.0
    for row in about:
        wx, wy = x - center[row, 0], y - center[row, 1]
        reach = half[row, 0] + _DIMMED_M
        if wx * wx + wy * wy > reach * reach:
            continue
        r = rotation[row]
        along = abs(r[0, 0] * wx + r[1, 0] * wy) - half[row, 0]
        aside = abs(r[0, 1] * wx + r[1, 1] * wy) - half[row, 1]
        off = np.sqrt(max(along, 0.0) ** 2 + max(aside, 0.0) ** 2)
        inside = min(0.0, max(along, aside))
        height = min(1.0, half[row, 2])
        left *= 1 - (0.55 + 0.35 * min(1.0, -2.5 * inside)) * height * np.exp(-off / 0.35)
    return left


@kernel
def _shade(
    directions: F32, camera: F64, depth: F32, owner: I32, triangle: I32, lit: Bool,
    scenery_normal: F32, scenery_material: U8, scenery_tint: U8,
    first: I64, actor_normal: F32, actor_material: U8, rotation: F64, center: F64, half: F64,
    object_id: I64, tints: U8, cells_from: F64, cell_m: float, shape: I64, first_about: I64, about: I32,
    sun: F64, sun_rgb: F64, sky_rgb: F64, haze_per_m: float, pixel_rad: float, out: F32,
) -> None:  # fmt: skip
    height, width = owner.shape
    for py in range(height):
        for px in range(width):
            c = directions[py, px]
            dx = camera[0, 0] * c[0] + camera[0, 1] * c[1] + camera[0, 2] * c[2]
            dy = camera[1, 0] * c[0] + camera[1, 1] * c[1] + camera[1, 2] * c[2]
            dz = camera[2, 0] * c[0] + camera[2, 1] * c[1] + camera[2, 2] * c[2]
            who = owner[py, px]
            if who == SKY:
                out[py, px, 0], out[py, px, 1], out[py, px, 2] = _sky(dx, dy, dz, sun, sun_rgb, sky_rgb)
                continue
            t = depth[py, px]
            x, y, z = camera[0, 3] + t * dx, camera[1, 3] + t * dy, camera[2, 3] + t * dz
            tri = triangle[py, px]
            if who == SCENERY:
                m, material, salt = scenery_normal[tri], scenery_material[tri], 0
                nx, ny, nz = float(m[0]), float(m[1]), float(m[2])
                lx, ly, lz, mx, my, mz = x, y, z, nx, ny, nz
            else:
                m, material = actor_normal[first[who] + tri], actor_material[first[who] + tri]
                salt = object_id[who] & 0xFFFF
                r = rotation[who]
                mx, my, mz = float(m[0]), float(m[1]), float(m[2])
                nx = r[0, 0] * mx + r[0, 1] * my + r[0, 2] * mz
                ny = r[1, 0] * mx + r[1, 1] * my + r[1, 2] * mz
                nz = r[2, 0] * mx + r[2, 1] * my + r[2, 2] * mz
                wx, wy, wz = x - center[who, 0], y - center[who, 1], z - center[who, 2]
                lx = r[0, 0] * wx + r[1, 0] * wy + r[2, 0] * wz
                ly = r[0, 1] * wx + r[1, 1] * wy + r[2, 1] * wz
                lz = r[0, 2] * wx + r[1, 2] * wy + r[2, 2] * wz
            facing = -(nx * dx + ny * dy + nz * dz)
            if facing < 0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            footprint = pixel_rad * t / max(facing, 0.15)
            fr, fg, fb = shade_of(material, lx, ly, lz, mx, my, mz, footprint, salt)
            ar, ag, ab = ALBEDO[material, 0] * fr, ALBEDO[material, 1] * fg, ALBEDO[material, 2] * fb
            tinted = _TINT_ROW[material]
            if tinted >= 0:
                tint = scenery_tint[tri] if who == SCENERY else tints[who, tinted]
                ar, ag, ab = ar * _LINEAR[tint[0]], ag * _LINEAR[tint[1]], ab * _LINEAR[tint[2]]
            direct = max(0.0, nx * sun[0] + ny * sun[1] + nz * sun[2]) if lit[py, px] else 0.0
            if material == Material.FOLIAGE:
                direct = 0.35 * direct + (0.3 if lit[py, px] else 0.0)
            above = 0.5 + 0.5 * nz
            if who == SCENERY and nz > 0.7 and t < _FAR_M:
                cell = cell_at(x, y, cells_from, cell_m, shape)
                if cell >= 0:
                    standing = about[first_about[cell] : first_about[cell + 1]]
                    above *= _open_sky(x, y, standing, center, half, rotation)
            elif who >= 0:
                low = min(1.0, max(0.0, (lz + half[who, 2]) / 0.6))  # darker towards the ground it stands on
                above *= 0.55 + 0.45 * low
            below = (0.5 - 0.5 * nz) * 0.13 * (1.0 if who == SCENERY else 0.6 + 0.4 * (lz / half[who, 2]))
            ground = max(0.0, sun[2])
            cr = ar * (direct * sun_rgb[0] + above * sky_rgb[0] + below * (ground * sun_rgb[0] + sky_rgb[0]))
            cg = ag * (direct * sun_rgb[1] + above * sky_rgb[1] + below * (ground * sun_rgb[1] + sky_rgb[1]))
            cb = ab * (direct * sun_rgb[2] + above * sky_rgb[2] + below * (ground * sun_rgb[2] + sky_rgb[2]))
            head_on = MIRROR[material]
            if head_on > 0:
                share = head_on + (1 - head_on) * 0.6 * (1 - facing) ** 5
                rx, ry, rz = dx + 2 * facing * nx, dy + 2 * facing * ny, dz + 2 * facing * nz
                if rz > 0.0:
                    mr, mg, mb = _sky(rx, ry, rz, sun, sun_rgb, sky_rgb)
                else:
                    dim = 0.12 * (1 + rz) + 0.04
                    mr, mg, mb = dim * sky_rgb[0], dim * sky_rgb[1], dim * sky_rgb[2]
                if rz < 0.25 and rz > 0.0:  # houses stand around: the horizon is not all sky
                    dark = 0.35 + 2.6 * rz
                    mr, mg, mb = mr * dark, mg * dark, mb * dark
                cr += share * (mr - cr)
                cg += share * (mg - cg)
                cb += share * (mb - cb)
                if lit[py, px]:
                    aligned = max(0.0, rx * sun[0] + ry * sun[1] + rz * sun[2])
                    shine = head_on * 0.08 * SHARPNESS[material] * aligned ** SHARPNESS[material]
                    cr, cg, cb = cr + shine * sun_rgb[0], cg + shine * sun_rgb[1], cb + shine * sun_rgb[2]
            cr, cg, cb = cr + GLOW[material, 0], cg + GLOW[material, 1], cb + GLOW[material, 2]
            clear = np.exp(-haze_per_m * t)
            hazy = 1.1 * (1 - clear)
            out[py, px, 0] = clear * cr + hazy * sky_rgb[0]
            out[py, px, 1] = clear * cg + hazy * sky_rgb[1]
            out[py, px, 2] = clear * cb + hazy * sky_rgb[2]
