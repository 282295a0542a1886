"""Each fault does what it says, by so much, and nothing else; what the vehicle believes of itself stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.synth import FaultKind, SynthConfig, SyntheticDrive, parse_fault
from fleetlabel.engine.synth.drive import START_NS
from fleetlabel.engine.synth.faults import Faults
from fleetlabel.geometry import se3
from fleetlabel.model.errors import UsageError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SampleStatus
from synth.small_scene import SmallScene

SMALL = SynthConfig(duration_s=0.8, n_cameras=2, size_px=(96, 54), n_beams=16, n_columns=180)
FRAMES = 4


class Later(SmallScene):
    """The same street, so many nanoseconds ahead."""

    def __init__(self, ahead_ns):
        super().__init__(0)
        self._ahead_ns = ahead_ns

    def world_from_ego(self, timestamp_ns):
        return super().world_from_ego(np.asarray(timestamp_ns) + self._ahead_ns)

    def actors(self, timestamp_ns):
        # The street places its own objects with poses(), which looks ahead already.
        found = super().actors(timestamp_ns)
        steps = super().actors(timestamp_ns + self._ahead_ns).mesh
        return type(found)(
            **{name: getattr(found, name) for name in found.__slots__ if name != "mesh"}, mesh=steps
        )

    def poses(self, object_id, timestamp_ns):
        return super().poses(object_id, np.asarray(timestamp_ns) + self._ahead_ns)


def drive_with(*faults, scene=None, **settings):
    config = SMALL.model_copy(update={"faults": tuple(map(parse_fault, faults)), **settings})
    return SyntheticDrive(config, scene or SmallScene(0))


def content(drive, sensor, start=0, stop=FRAMES):
    """A sensor's samples and bytes."""
    part, set_aside = drive.read_sensor(sensor, start, stop)
    assert not set_aside
    arrays = {**part.samples, **part.flat, "counts": part.counts}
    return {name: (values.dtype.str, values.tobytes()) for name, values in arrays.items()}


def frame_bytes(drive, sensor, column):
    """A sensor's data frame by frame."""
    part, _ = drive.read_sensor(sensor, 0, drive.info.n_frames)
    pieces = np.split(part.flat[column], np.cumsum(part.counts)[:-1])
    return part.samples["status"], [piece.tobytes() for piece in pieces]


def assert_alike(broken, clean, *, but=()):
    """Everything but some sensors' data, and but what ``but`` names, is as without the fault."""
    for sensor in clean.info.sensors:
        here = broken.info.sensor(sensor.name)
        assert np.array_equal(here.ego_from_sensor, sensor.ego_from_sensor)
        assert here.camera == sensor.camera
        if sensor.name not in but:
            assert content(broken, sensor.name) == content(clean, sensor.name), sensor.name
    assert np.array_equal(broken.info.frame_timestamp_ns, clean.info.frame_timestamp_ns)
    if "poses" not in but:
        here, there = broken.info.trajectory, clean.info.trajectory
        assert np.array_equal(here.world_from_ego, there.world_from_ego)
        assert np.array_equal(here.timestamp_ns, there.timestamp_ns)
    here, there = broken.truth3d(1), clean.truth3d(1)
    assert np.array_equal(here.center_m, there.center_m)
    if "lidar" not in but:
        assert np.array_equal(here.n_points, there.n_points)


@pytest.mark.parametrize("offset_ms", [50, -30])
def test_a_camera_offset_takes_pictures_at_another_time(offset_ms):
    clean, broken = drive_with(), drive_with(f"camera-offset:front={offset_ms}ms")
    assert_alike(broken, clean, but=("front",))
    other_time = drive_with(scene=Later(offset_ms * 1_000_000))
    assert content(broken, "front") == content(other_time, "front")
    assert content(broken, "front") != content(clean, "front")
    for column in ("timestamp_ns", "status"):
        assert content(broken, "front")[column] == content(clean, "front")[column]
    assert np.array_equal(broken.truth2d("front", 2).xyxy_px, other_time.truth2d("front", 2).xyxy_px)
    here, there = (drive.truth2d("front", 2).timestamp_ns[0] for drive in (broken, clean))
    assert here == there, "the truth has the time that the camera gives"


def test_a_camera_that_runs_ahead_waits_for_the_drive_to_begin():
    broken = drive_with("camera-offset:front=-500ms")
    assert np.array_equal(broken.picture("front", 0).shape, (54, 96, 3))
    assert len(broken.truth2d("front", 0)) > 0


@pytest.mark.parametrize(("sensor", "angle_deg"), [("lidar", 4.0), ("front", -2.5)])
def test_an_extrinsic_error_turns_the_sensor_and_not_its_calibration(sensor, angle_deg):
    clean, broken = drive_with(), drive_with(f"extrinsic:{sensor}={angle_deg}deg")
    assert_alike(broken, clean, but=(sensor,))
    assert content(broken, sensor) != content(clean, sensor)
    believed = clean.info.sensor(sensor)
    faults = Faults([parse_fault(f"extrinsic:{sensor}={angle_deg}deg")], clean.info.sensors, 0)
    true = faults.ego_from_sensor(believed)
    turned = believed.ego_from_sensor[:3, :3].T @ true[:3, :3]
    assert np.degrees(np.arccos((np.trace(turned) - 1) / 2)) == pytest.approx(abs(angle_deg))
    assert np.array_equal(true[:3, 3], believed.ego_from_sensor[:3, 3])
    for other in clean.info.sensors:
        if other.name != sensor:
            assert np.allclose(faults.ego_from_sensor(other), other.ego_from_sensor, atol=1e-15)


def test_with_an_extrinsic_error_returns_miss_their_cuboids_where_the_calibration_puts_them():
    fault = "extrinsic:lidar=6deg"
    broken, scene = drive_with(fault, range_noise_m=0.0), SmallScene(0)
    turn = broken.turn("lidar", 1)
    sensor = broken.info.sensor("lidar")
    true = Faults([parse_fault(fault)], broken.info.sensors, 0).ego_from_sensor(sensor)
    when = int(broken.info.frame_timestamp_ns[1]) - START_NS + turn.offset_ns.astype(np.int64)
    size = scene.actors(0).size_lwh_m
    inside = {}
    for name, ego_from_lidar in (("true", true), ("believed", sensor.ego_from_sensor)):
        share = []
        for number in np.unique(turn.object_id[turn.object_id >= 0]).tolist():
            of = turn.object_id == number
            poses = np.linalg.inv(scene.poses(number, when[of])) @ scene.world_from_ego(when[of])
            points = np.concatenate([turn.points[of, :3], np.ones((of.sum(), 1))], axis=1)
            own = np.einsum("nij,nj->ni", poses @ ego_from_lidar, points)[:, :3]
            share.append(np.all(np.abs(own) <= 0.5 * size[number] + 0.01, axis=1))
        inside[name] = np.concatenate(share).mean()
    assert inside["true"] == 1.0
    assert inside["believed"] < 0.8


@pytest.mark.parametrize(
    ("fault", "sensor", "column"),
    [("lost-sweeps:lidar=40%", "lidar", "points"), ("dropped-frames:back=40%", "back", "jpeg")],
)
def test_what_is_lost_is_missing_and_the_rest_is_as_it_was(fault, sensor, column):
    clean, broken = drive_with(), drive_with(fault)
    assert_alike(broken, clean, but=(sensor,))
    status, pieces = frame_bytes(broken, sensor, column)
    _, there = frame_bytes(clean, sensor, column)
    lost = status == SampleStatus.MISSING
    assert 0 < lost.sum() < len(lost)
    for frame, missing in enumerate(lost.tolist()):
        assert pieces[frame] == (b"" if missing else there[frame])
        if sensor == "back":
            boxes = broken.truth2d("back", frame)
            assert len(boxes) == (0 if missing else len(clean.truth2d("back", frame)))
        else:
            assert broken.truth3d(frame).n_points.any() != missing


@pytest.mark.parametrize("kind", ["lost-sweeps:lidar", "dropped-frames:front"])
def test_shares_are_as_large_as_they_say(kind):
    sensors = drive_with().info.sensors
    sensor = kind.split(":")[1]
    for percent, low, high in ((0, 0, 0), (5, 60, 140), (50, 900, 1100), (100, 2000, 2000)):
        faults = Faults([parse_fault(f"{kind}={percent}%")], sensors, 3)
        lost = [faults.missing(sensor, frame) for frame in range(2000)]
        assert low <= sum(lost) <= high
        assert not any(faults.missing(other.name, 0) for other in sensors if other.name != sensor)


def test_everything_lost_is_still_a_drive():
    broken = drive_with("lost-sweeps:lidar=100%", "dropped-frames:front=100%", "dropped-frames:back=100%")
    truth = broken.ground_truth()
    assert all(len(boxes) == 0 for boxes in truth.boxes2d.values())
    assert truth.boxes3d is not None
    assert len(truth.boxes3d) == 0, "nobody can find what no sensor saw"


def test_a_frozen_camera_repeats_its_picture_and_its_clock_goes_on():
    clean, broken = drive_with(), drive_with("frozen:back=from:2")
    assert_alike(broken, clean, but=("back",))
    status, pieces = frame_bytes(broken, "back", "jpeg")
    _, there = frame_bytes(clean, "back", "jpeg")
    assert (status == SampleStatus.OK).all()
    assert pieces[:3] == there[:3]
    assert set(pieces[2:]) == {there[2]}
    assert content(broken, "back")["timestamp_ns"] == content(clean, "back")["timestamp_ns"]
    assert np.array_equal(broken.truth2d("back", 5).xyxy_px, clean.truth2d("back", 2).xyxy_px), (
        "truth is of what the picture shows"
    )


@pytest.mark.parametrize("percent", [1.0, -5.0])
def test_pose_drift_is_a_share_of_the_way_driven_to_one_side(percent):
    clean, broken = drive_with(), drive_with(f"pose-drift={percent}%")
    assert_alike(broken, clean, but=("poses",))
    here, there = broken.info.trajectory.world_from_ego, clean.info.trajectory.world_from_ego
    moved = (here - there)[:, :3]
    true = SmallScene(0).world_from_ego(clean.info.trajectory.timestamp_ns - START_NS)[:, :3, 3]
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(true, axis=0), axis=1))])
    assert np.allclose(np.linalg.norm(moved, axis=1), abs(percent) / 100 * way, atol=1e-9)
    heading = np.arctan2(moved[1:, 1], moved[1:, 0])
    assert np.allclose(np.cos(heading - heading[0]), 1.0)
    assert not moved[:, 2].any()
    assert np.array_equal(here[:, 3:], there[:, 3:])


def test_a_pose_jump_is_half_way_and_for_good():
    clean, broken = drive_with(), drive_with("pose-jump=2m")
    assert_alike(broken, clean, but=("poses",))
    moved = np.linalg.norm(
        (broken.info.trajectory.world_from_ego - clean.info.trajectory.world_from_ego)[:, :3], axis=1
    )
    first = int(np.flatnonzero(moved)[0])
    assert first == pytest.approx(len(moved) / 2, abs=1)
    assert np.allclose(moved[first:], 2.0)


def test_pose_noise_is_as_large_as_it_says_and_touches_no_data():
    clean, noisy = drive_with(duration_s=60.0), drive_with(
        duration_s=60.0, position_noise_m=0.3, heading_noise_deg=0.5
    )  # fmt: skip
    assert_alike(noisy, clean, but=("poses",))
    here, there = noisy.info.trajectory.world_from_ego, clean.info.trajectory.world_from_ego
    assert 0.15 < (here - there)[:, :2].std() < 0.6
    matrices = [se3.from_pose(poses)[:, :3, :3] for poses in (here, there)]
    turned = np.einsum("nij,nij->n", *matrices)
    assert 0.2 < np.degrees(np.arccos(np.clip((turned - 1) / 2, -1, 1))).std() < 1.0
    steps = np.linalg.norm(np.diff((here - there)[:, :2], axis=0), axis=1)
    assert steps.max() < 0.05, "it wanders, it does not jump"


def test_faults_are_told_in_words():
    drive = drive_with("camera-offset:front=50ms", "pose-drift=1%")
    told = drive.info.source["injected"]
    assert [(entry["kind"], entry["sensor"]) for entry in told] == [
        ("camera-offset", "front"),
        ("pose-drift", None),
    ]
    assert [entry["amount"] for entry in told] == [pytest.approx(0.05), pytest.approx(0.01)]
    assert all("this" in entry["effect"] for entry in told)
    assert drive_with().info.source["injected"] == []


@given(kind=st.sampled_from(list(FaultKind)), share=st.floats(-1.2, 1.2))
def test_amounts_are_read_or_refused_with_the_limits(kind, share):
    forms = {  # how it is written, its limit on both sides in that unit, its value in that unit
        FaultKind.CAMERA_OFFSET: ("camera-offset:front={:.1f}ms", (-500, 500), 1e-3),
        FaultKind.EXTRINSIC: ("extrinsic:front={:.2f}deg", (-20, 20), 1.0),
        FaultKind.LOST_SWEEPS: ("lost-sweeps:lidar={:.2f}%", (0, 100), 0.01),
        FaultKind.DROPPED_FRAMES: ("dropped-frames:front={:.2f}%", (0, 100), 0.01),
        FaultKind.FROZEN: ("frozen:front=from:{:.0f}", (0, 1e9), 1.0),
        FaultKind.POSE_JUMP: ("pose-jump={:.2f}m", (-100, 100), 1.0),
        FaultKind.POSE_DRIFT: ("pose-drift={:.3f}%", (-20, 20), 0.01),
    }
    form, (low, high), scale = forms[kind]
    text = form.format(share * high)
    amount = float(form.format(share * high).split("=")[1].strip("fromsdeg:%"))
    if low <= amount <= high and not (kind is FaultKind.FROZEN and "-" in text):
        fault = parse_fault(text)
        assert (fault.kind, fault.amount) == (kind, pytest.approx(amount * scale))
    else:
        with pytest.raises(UsageError, match="--inject") as refused:
            parse_fault(text)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["lost-sweeps:front=5%"], r"\['lidar'\]"),
        (["dropped-frames:lidar=5%"], r"\['front', 'back'\]"),
        (["camera-offset:left=5ms"], r"\['front', 'back'\]"),
        (["frozen:front=from:1", "frozen:front=from:2"], "twice"),
        (["pose-jump=1m", "pose-jump=2m"], "twice"),
    ],
)
def test_faults_that_do_not_fit_the_vehicle_are_refused(faults, message):
    with pytest.raises(UsageError, match=message):
        drive_with(*faults)


def test_every_kind_is_tested_here():
    assert {kind.value for kind in FaultKind} == {
        *("camera-offset", "extrinsic", "lost-sweeps", "dropped-frames", "frozen", "pose-jump", "pose-drift")
    }
    assert {sensor.kind for sensor in drive_with().info.sensors} == set(SensorKind)
