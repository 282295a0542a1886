"""What a synthetic world can be told."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Daylight(StrEnum):
    """Kinds of light."""

    SUNNY = "sunny"
    LOW_SUN = "low_sun"
    OVERCAST = "overcast"
    DUSK = "dusk"


class WorldConfig(BaseModel):
    """Settings of a synthetic world; equal settings give equal worlds, byte for byte.

    Attributes:
        seed: of everything random.
        duration_s: length of the drive; a longer drive with the same seed begins the same.
        traffic, parked, people: shares of places on the road, along the kerb, and on pavements and cycle lanes that
            are taken; 1 is a busy street, 0 an empty one.
        range_m: how far from the vehicle objects and scenery exist.
        light: kind of daylight; by default drawn from the seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    duration_s: float = Field(default=20.0, gt=0.0, le=86_400.0)
    traffic: float = Field(default=0.75, ge=0.0, le=1.0)
    parked: float = Field(default=0.75, ge=0.0, le=1.0)
    people: float = Field(default=0.5, ge=0.0, le=1.0)
    range_m: float = Field(default=110.0, ge=30.0, le=300.0)
    light: Daylight | None = None
