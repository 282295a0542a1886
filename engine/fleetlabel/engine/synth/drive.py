"""A synthetic drive as a source of sequences: any frame of any sensor, and its truth, in any order.

Nothing is kept but what was needed last and the truth of what was made: boxes of pictures and counts of points come
out of the same rays as the pictures and points themselves, so :meth:`SyntheticDrive.ground_truth` costs nothing where
this very object made all data, and otherwise casts the rays of what is missing, without shading (about half of what
the data cost). It is some kilobytes a frame, as the truth itself is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version

import numpy as np

from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource
from fleetlabel.engine.synth import lidar, truth
from fleetlabel.engine.synth.camera import develop, encode
from fleetlabel.engine.synth.drive_config import FRAME_NS, SynthConfig
from fleetlabel.engine.synth.faults import Faults
from fleetlabel.engine.synth.raycast import Casters
from fleetlabel.engine.synth.rig import Mounted, beam_elevations, cameras, lidars, rotation_of
from fleetlabel.engine.synth.scene import OBJECT_CLASSES, Scene
from fleetlabel.engine.synth.shading import shade
from fleetlabel.engine.synth.sight import Lens, Sight, look
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64, U8, AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.cameras import CameraModel
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import Part, Quarantined, SampleStatus, SequenceInfo

ALGORITHM_VERSION = 2
# When drives begin. The world's own time begins one frame before the first, so that its turn has begun too.
START_NS = 1_760_000_000_000_000_000
_POSE_NS = 20_000_000
_JITTER_NS = 1_500_000  # of a camera's trigger, either way
_TONES = 8  # of the slow wandering of the believed pose


@dataclass(frozen=True, slots=True, eq=False)
class Notes:
    """Truth that came out of the rays of pictures and sweeps, by sensor and frame.

    Attributes:
        pictured: rows of :func:`fleetlabel.engine.synth.truth.picture_truth`.
        returns: (K, 2) objects and how many returns they gave.
    """

    pictured: dict[tuple[str, int], F64]
    returns: dict[tuple[str, int], I64]


class SyntheticDrive(SequenceSource):
    """A drive that nobody drove: see :class:`SynthConfig` for what can be chosen.

    Args:
        config: of the drive.
        scene: the world; by default the one of the configuration.

    Raises:
        UsageError: a fault does not fit the vehicle.
    """

    def __init__(self, config: SynthConfig, scene: Scene | None = None) -> None:
        self.config = config
        self.warnings = ()
        self._scene = scene or _world(config)
        self._cameras = cameras(config.seed, config.n_cameras, config.size_px, FRAME_NS)
        self._lidars = lidars(config.seed, config.n_lidars, FRAME_NS)
        self._mounted = {mounted.sensor.name: mounted for mounted in (*self._cameras, *self._lidars)}
        sensors = tuple(mounted.sensor for mounted in self._mounted.values())
        self._faults = Faults(config.faults, sensors, config.seed)
        self._casters = Casters(self._scene)
        self._firing = lidar.Firing.of(beam_elevations(config.n_beams), config.n_columns, FRAME_NS)
        self._picture_truth: dict[tuple[str, int], F64] = {}
        self._returns: dict[tuple[str, int], I64] = {}
        self.info = SequenceInfo(
            name=f"synth-{config.seed}",
            sensors=sensors,
            frame_timestamp_ns=START_NS + FRAME_NS * np.arange(1, config.n_frames + 1, dtype=np.int64),
            trajectory=self._believed_trajectory(),
            source={
                "format": "synth",
                "version": version("fleetlabel"),
                "algorithm_version": ALGORITHM_VERSION,
                "config": config.model_dump(mode="json", exclude={"faults"}),
                "injected": [fault.to_dict() for fault in config.faults],
            },
        )

    # --- data ---------------------------------------------------------------------------------------------------------

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """Data of one sensor in the frames ``start:stop``; see :class:`SequenceSource`."""
        kind = self.info.sensor(name).kind
        part = (
            self._pictures(name, start, stop) if kind is SensorKind.CAMERA else self._turns(name, start, stop)
        )
        return part, []

    def schedule(self, name: str) -> tuple[I64, U8]:
        """When a sensor measures at every frame (F,), and what each :class:`SampleStatus` is; nothing is made."""
        frames = range(self.info.n_frames)
        there = np.array([not self._faults.missing(name, frame) for frame in frames])
        samples = self._samples(name, 0, self.info.n_frames, there)
        return samples["timestamp_ns"], samples["status"]

    def picture(self, camera: str, frame: int) -> U8:
        """A picture (H, W, 3) uint8 RGB, as it is before the JPEG."""
        shown = self._faults.frame_shown(camera, frame)
        sight = self._look(camera, shown)
        light = self._scene.light
        seed = [self.config.seed, 104, self._number(camera), shown]
        noise = int(np.random.default_rng(seed).integers(1 << 30))
        return develop(shade(sight, self._lens(camera), light, self._casters), light.exposure, noise)

    def turn(self, name: str, frame: int) -> lidar.Turn:
        """A lidar's sweep with the object behind each return; without returns where it is lost."""
        if self._faults.missing(name, frame):
            return lidar.Turn(np.empty((0, 4), np.float32), np.empty(0, np.int32), np.empty(0, np.int64))
        mounted = self._mounted[name]
        made = lidar.turn(
            self._scene,
            self._casters,
            self._firing,
            self._faults.ego_from_sensor(mounted.sensor),
            self._time_ns(mounted, frame) - START_NS,
            self.config.range_noise_m,
            np.random.default_rng([self.config.seed, 105, self._number(name), frame]),
        )
        self._returns[name, frame] = np.stack(
            np.unique(made.object_id[made.object_id >= 0], return_counts=True), axis=1
        )
        return made

    # --- truth --------------------------------------------------------------------------------------------------------

    def truth2d(self, camera: str, frame: int) -> Boxes2D:
        """Boxes of what a picture shows; none where it is missing. See :mod:`~fleetlabel.engine.synth.truth`."""
        timestamp_ns = self._time_ns(self._mounted[camera], frame)
        if self._faults.missing(camera, frame):
            return Boxes2D.empty(OBJECT_CLASSES)
        return truth.boxes_2d(
            self._objects_in(camera, self._faults.frame_shown(camera, frame)), frame, timestamp_ns
        )

    def truth3d(self, frame: int) -> Boxes3D:
        """Cuboids within range of the vehicle at a frame, whether any sensor sees them or not."""
        n_points: dict[int, int] = {}
        for mounted in self._lidars:
            for number, count in self._returns_of(mounted.sensor.name, frame).tolist():
                n_points[number] = n_points.get(number, 0) + count
        time_ns = int(self.info.frame_timestamp_ns[frame])
        ego_m = self._scene.world_from_ego(np.array([time_ns - START_NS]))[0, :3, 3]
        return truth.boxes_3d(self._scene.actors(time_ns - START_NS), ego_m, frame, time_ns, n_points)

    def ground_truth(self) -> GroundTruth:
        """Truth of the whole drive."""
        frames = range(self.info.n_frames)
        boxes2d = {
            mounted.sensor.name: Boxes2D.concatenate(
                [
                    Boxes2D.empty(OBJECT_CLASSES),
                    *(self.truth2d(mounted.sensor.name, frame) for frame in frames),
                ]
            )
            for mounted in self._cameras
        }
        boxes3d = Boxes3D.concatenate([self.truth3d(frame) for frame in frames])
        key = boxes3d.track_id * self.info.n_frames + boxes3d.frame
        pictured = np.concatenate([b.track_id * self.info.n_frames + b.frame for b in boxes2d.values()])
        seen = (boxes3d.n_points > 0) | np.isin(key, pictured)
        return GroundTruth(
            class_names=OBJECT_CLASSES,
            boxes2d=boxes2d,
            boxes3d=truth.within_sight(boxes3d, seen),
            provenance={"algorithm_version": ALGORITHM_VERSION, "seed": self.config.seed},
        )

    def give_notes(self) -> Notes:
        """What was noted since the last call, which is then forgotten here: for a drive that several processes make."""
        notes = Notes(self._picture_truth, self._returns)
        self._picture_truth, self._returns = {}, {}
        return notes

    def take_notes(self, notes: Notes) -> None:
        """Adds what another process noted of the same drive."""
        self._picture_truth |= notes.pictured
        self._returns |= notes.returns

    # --- how ----------------------------------------------------------------------------------------------------------

    def _pictures(self, name: str, start: int, stop: int) -> Part:
        jpegs: list[bytes] = []
        last = -1
        for frame in range(start, stop):
            shown = self._faults.frame_shown(name, frame)
            if self._faults.missing(name, frame):
                jpegs.append(b"")
            elif shown == last:
                jpegs.append(jpegs[-1] or encode(self.picture(name, frame), self.config.jpeg_quality))
            else:
                jpegs.append(encode(self.picture(name, frame), self.config.jpeg_quality))
                last = shown
        counts = np.array([len(jpeg) for jpeg in jpegs], dtype=np.int64)
        return Part(
            self._samples(name, start, stop, counts > 0),
            counts,
            {"jpeg": np.frombuffer(b"".join(jpegs), dtype=np.uint8)},
        )

    def _turns(self, name: str, start: int, stop: int) -> Part:
        turns = [self.turn(name, frame) for frame in range(start, stop)]
        counts = np.array([len(made.points) for made in turns], dtype=np.int64)
        lost = np.array([self._faults.missing(name, frame) for frame in range(start, stop)])
        samples = self._samples(name, start, stop, ~lost)
        samples["dropped_points"] = np.zeros(len(turns), dtype=np.int32)
        flat: dict[str, AnyArray] = {
            "points": np.concatenate([made.points for made in turns]),
            "point_time_offset_ns": np.concatenate([made.offset_ns for made in turns]),
        }
        return Part(samples, counts, flat)

    def _samples(self, name: str, start: int, stop: int, there: AnyArray) -> dict[str, AnyArray]:
        mounted = self._mounted[name]
        times = [self._time_ns(mounted, frame) for frame in range(start, stop)]
        status = np.where(there, SampleStatus.OK, SampleStatus.MISSING).astype(np.uint8)
        return {"timestamp_ns": np.array(times, dtype=np.int64), "status": status}

    def _look(self, camera: str, frame: int) -> Sight:
        """What a camera sees at a frame; notes the truth of it."""
        mounted = self._mounted[camera]
        time_ns = self._time_ns(mounted, frame) + self._faults.camera_offset_ns(camera) - START_NS
        time_ns = max(time_ns, 0)  # a camera that runs ahead waits for the drive to begin
        ego = self._scene.world_from_ego(np.array([time_ns]))[0]
        world_from_camera = ego @ self._faults.ego_from_sensor(mounted.sensor)
        sight = look(self._scene, self._casters, self._lens(camera), world_from_camera, time_ns)
        self._picture_truth[camera, frame] = truth.picture_truth(sight, _model(mounted))
        return sight

    def _objects_in(self, camera: str, frame: int) -> F64:
        if (camera, frame) not in self._picture_truth:
            self._look(camera, frame)
        return self._picture_truth[camera, frame]

    def _returns_of(self, name: str, frame: int) -> I64:
        if (name, frame) not in self._returns and not self._faults.missing(name, frame):
            self.turn(name, frame)
        return self._returns.get((name, frame), np.empty((0, 2), dtype=np.int64))

    def _time_ns(self, mounted: Mounted, frame: int) -> int:
        """When a sensor's clock says that it measured at a frame."""
        jitter = 0
        if mounted.sensor.kind is SensorKind.CAMERA:
            seed = [self.config.seed, 106, self._number(mounted.sensor.name), frame]
            jitter = int(np.random.default_rng(seed).integers(-_JITTER_NS, _JITTER_NS))
        return int(self.info.frame_timestamp_ns[frame]) + mounted.phase_ns + jitter

    def _number(self, sensor: str) -> int:
        return list(self._mounted).index(sensor)

    def _lens(self, camera: str) -> Lens:
        return _lens(_model(self._mounted[camera]))

    def _believed_trajectory(self) -> Trajectory:
        """The poses that the vehicle believes: the true ones, a slow error, and injected faults."""
        config = self.config
        times = np.arange(0, (config.n_frames + 2) * FRAME_NS, _POSE_NS, dtype=np.int64)
        true = self._scene.world_from_ego(times)
        believed = true.copy()
        believed[:, :2, 3] += config.position_noise_m * _wander([config.seed, 107], times, 2)
        turned = np.radians(config.heading_noise_deg) * _wander([config.seed, 108], times, 1)[:, 0]
        if config.heading_noise_deg:
            believed[:, :3, :3] @= np.stack([rotation_of(np.array([0.0, 0.0, angle])) for angle in turned])
        poses = self._faults.believed(se3.to_pose(believed), times, times[len(times) // 2])
        return Trajectory(START_NS + times, poses)


@lru_cache(maxsize=1)
def open_drive(config: SynthConfig) -> SyntheticDrive:
    """The drive of a configuration, one object per process: tasks that open it again share what it has noted."""
    return SyntheticDrive(config)


def _world(config: SynthConfig) -> Scene:
    from fleetlabel.engine.synth.world import World

    ends_s = FRAME_NS * (config.n_frames + 2) / 1e9 + 1.0
    return World(config.world.model_copy(update={"seed": config.seed, "duration_s": ends_s}))


def _model(mounted: Mounted) -> CameraModel:
    assert mounted.sensor.camera is not None
    return mounted.sensor.camera


@lru_cache(maxsize=16)
def _lens(camera: CameraModel) -> Lens:
    return Lens.of(camera)


def _wander(seed: list[int], times_ns: I64, columns: int) -> F64:
    """Smooth noise (T, columns) of unit variance that wanders within seconds: a sum of slow tones."""
    random = np.random.default_rng(seed)
    hertz = random.uniform(0.02, 0.4, (columns, _TONES))
    phase = random.uniform(0, 2 * np.pi, (columns, _TONES))
    angle = 2 * np.pi * hertz * (times_ns[:, None, None] / 1e9) + phase
    wandering: F64 = np.sqrt(2.0 / _TONES) * np.cos(angle).sum(axis=2)
    return wandering
