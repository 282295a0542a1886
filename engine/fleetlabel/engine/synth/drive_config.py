"""Everything a synthetic drive can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fleetlabel.engine.synth.faults import Fault
from fleetlabel.engine.synth.rig import MAX_CAMERAS, MAX_LIDARS
from fleetlabel.engine.synth.world_config import WorldConfig

FRAME_NS = 100_000_000


class SynthConfig(BaseModel):
    """Settings of a synthetic drive; equal settings give equal drives, byte for byte.

    Attributes:
        seed: of the world, the rig and all noise.
        duration_s: length; there are ten frames a second.
        n_cameras, n_lidars: how many of the rig's sensors the vehicle carries.
        size_px: width and height of the pictures.
        n_beams: of each lidar.
        n_columns: directions in which a lidar fires in a turn.
        range_noise_m: standard deviation of a lidar's ranges.
        position_noise_m, heading_noise_deg: standard deviations of how wrong the poses are that the vehicle believes,
            which wander slowly, as those of a navigation system do.
        jpeg_quality: of the pictures.
        faults: what is broken on purpose.
        world: traffic, light and so on; its seed and duration are the drive's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, lt=1 << 63)
    duration_s: float = Field(default=20.0, ge=0.1, le=36_000.0)
    n_cameras: int = Field(default=6, ge=1, le=MAX_CAMERAS)
    n_lidars: int = Field(default=1, ge=1, le=MAX_LIDARS)
    size_px: tuple[int, int] = (960, 540)
    n_beams: int = Field(default=64, ge=8, le=256)
    n_columns: int = Field(default=1024, ge=90, le=4096)
    range_noise_m: float = Field(default=0.02, ge=0.0, le=1.0)
    position_noise_m: float = Field(default=0.0, ge=0.0, le=10.0)
    heading_noise_deg: float = Field(default=0.0, ge=0.0, le=10.0)
    jpeg_quality: int = Field(default=90, ge=30, le=100)
    faults: tuple[Fault, ...] = ()
    world: WorldConfig = WorldConfig()

    @property
    def n_frames(self) -> int:
        """Frames of the drive."""
        return max(1, round(self.duration_s * 1e9 / FRAME_NS))
