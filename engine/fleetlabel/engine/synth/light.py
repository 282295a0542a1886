"""Sun and sky of a drive."""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.synth.scene import Light
from fleetlabel.engine.synth.streams import Purpose, stream
from fleetlabel.engine.synth.world_config import Daylight

# Height of the sun in degrees, linear sun and sky colours, and exposure that keeps a street's greys mid-tone.
_KINDS = {
    Daylight.SUNNY: ((35.0, 65.0), (1.00, 0.96, 0.88), (0.42, 0.52, 0.68), 1.00),
    Daylight.LOW_SUN: ((14.0, 28.0), (0.95, 0.78, 0.55), (0.40, 0.46, 0.58), 1.15),
    Daylight.OVERCAST: ((30.0, 60.0), (0.12, 0.12, 0.12), (0.72, 0.75, 0.80), 1.10),
    Daylight.DUSK: ((6.0, 12.0), (0.22, 0.14, 0.08), (0.30, 0.30, 0.38), 1.70),
}


def light_of(seed: int, daylight: Daylight | None) -> Light:
    """Light of a seed: a kind of daylight, and within it the sun's place, brightness and haze."""
    rng = stream(seed, Purpose.LIGHT)
    drawn = list(Daylight)[int(rng.choice(4, p=[0.4, 0.2, 0.28, 0.12]))]
    (low, high), sun_rgb, sky_rgb, exposure = _KINDS[daylight or drawn]
    height, azimuth = np.radians(rng.uniform(low, high)), rng.uniform(-np.pi, np.pi)
    sun_direction = np.array(
        [np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)]
    )
    brightness = rng.uniform(0.88, 1.12)
    return Light(
        sun_direction=sun_direction,
        sun_rgb=brightness * np.array(sun_rgb),
        sky_rgb=brightness * np.array(sky_rgb),
        haze_per_m=float(10.0 ** rng.uniform(-3.6, -2.6)),
        exposure=exposure * float(rng.uniform(0.92, 1.08)),
    )
