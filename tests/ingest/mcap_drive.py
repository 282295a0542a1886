"""Small MCAP logs for tests: the same scene in ROS 2 messages and in Foxglove's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from fleetlabel.engine.ingest.testing import Scene, camera_model
from fleetlabel.geometry import quaternion, se3

SCENE = Scene(n_frames=5, n_objects=3)
START_NS = 1_700_000_000_123_456_789
PERIOD_NS = 100_000_000
CAMERA_LAG_NS = 20_000_000
LIDAR_TOPIC, CAMERA_TOPIC, VIDEO_TOPIC = (
    "/lidar_top/points",
    "/camera_front/image/compressed",
    "/camera_back/video",
)
BASE_FROM_LIDAR = se3.transform(
    quaternion.to_matrix(quaternion.from_yaw(np.array(0.5))), np.array([0.9, 0.0, 1.8])
)
BASE_FROM_BODY = se3.transform(np.eye(3), np.array([1.5, 0.1, 1.4]))
BODY_FROM_OPTICAL = se3.transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))

_HEADER = """
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
"""
_TRANSFORM = """
================================================================================
MSG: geometry_msgs/TransformStamped
std_msgs/Header header
string child_frame_id
geometry_msgs/Transform transform
================================================================================
MSG: geometry_msgs/Transform
geometry_msgs/Vector3 translation
geometry_msgs/Quaternion rotation
================================================================================
MSG: geometry_msgs/Vector3
float64 x
float64 y
float64 z
================================================================================
MSG: geometry_msgs/Quaternion
float64 x 0
float64 y 0
float64 z 0
float64 w 1
"""
DEFINITIONS = {
    "sensor_msgs/msg/CompressedImage": "std_msgs/Header header\nstring format\nuint8[] data" + _HEADER,
    "foxglove_msgs/msg/CompressedVideo": """builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format
""",
    "sensor_msgs/msg/PointCloud2": """std_msgs/Header header
uint32 height
uint32 width
sensor_msgs/PointField[] fields
bool is_bigendian
uint32 point_step
uint32 row_step
uint8[] data
bool is_dense
================================================================================
MSG: sensor_msgs/PointField
uint8 INT8    = 1
uint8 FLOAT64 = 8
string name
uint32 offset
uint8 datatype
uint32 count
"""
    + _HEADER,
    "sensor_msgs/msg/CameraInfo": """std_msgs/Header header
uint32 height
uint32 width
string distortion_model
float64[] d
float64[9] k
float64[9] r
float64[12] p
uint32 binning_x
uint32 binning_y
sensor_msgs/RegionOfInterest roi
================================================================================
MSG: sensor_msgs/RegionOfInterest
uint32 x_offset
uint32 y_offset
uint32 height
uint32 width
bool do_rectify
"""
    + _HEADER,
    "tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms" + _TRANSFORM + _HEADER,
    "nav_msgs/msg/Odometry": """std_msgs/Header header
string child_frame_id
geometry_msgs/PoseWithCovariance pose
================================================================================
MSG: geometry_msgs/PoseWithCovariance
geometry_msgs/Pose pose
float64[36] covariance
================================================================================
MSG: geometry_msgs/Pose
geometry_msgs/Point position
geometry_msgs/Quaternion orientation
================================================================================
MSG: geometry_msgs/Point
float64 x
float64 y
float64 z
================================================================================
MSG: geometry_msgs/Quaternion
float64 x 0
float64 y 0
float64 z 0
float64 w 1
"""
    + _HEADER,
}


@dataclass
class Log:
    """What is written, and what is wrong with it.

    Attributes:
        skip, empty: topic -> frames of which there is no message, or one without data.
        stamp_shift_ns: topic -> what is added to its stamps, not to its log times.
        zero_stamps: topics whose stamps are zero.
        odometry: instead of moving transforms.
        camera_frame: that the pictures name.
        distortion: model and coefficients.
        video: a camera at the back that records video.
        point_times: points carry their times.
        vehicle: the vehicle's frame.
    """

    scene: Scene = SCENE
    skip: Mapping[str, Collection[int]] = field(default_factory=dict)
    empty: Mapping[str, Collection[int]] = field(default_factory=dict)
    stamp_shift_ns: Mapping[str, int] = field(default_factory=dict)
    zero_stamps: Collection[str] = ()
    odometry: bool = False
    camera_frame: str = "camera_front_optical_frame"
    distortion: tuple[str, list[float]] = ("plumb_bob", [])
    video: bool = False
    point_times: bool = True
    vehicle: str = "base_link"

    def world_from_base(self, time_ns: int) -> np.ndarray:
        return self.scene.world_from_ego(np.array([(time_ns - START_NS) / 1e9]))[0]

    def map_from_odom(self, time_ns: int) -> np.ndarray:
        turn = quaternion.to_matrix(quaternion.from_yaw(np.array(0.01 * (time_ns - START_NS) / 1e9)))
        return se3.transform(turn, np.array([100.0, -50.0, 1.0]))

    def transforms(self) -> Iterator[tuple[int, bool, list[tuple[str, str, np.ndarray]]]]:
        """(time, still, edges) of each message; the tree is map, odom, base_link, sensors."""
        still = [
            (self.vehicle, "lidar_top", BASE_FROM_LIDAR),
            (self.vehicle, "camera_front", BASE_FROM_BODY),
            ("camera_front", "camera_front_optical_frame", BODY_FROM_OPTICAL),
        ]
        yield START_NS - PERIOD_NS, True, still
        if self.odometry:
            return
        last = START_NS + PERIOD_NS * self.scene.n_frames
        for time_ns in range(START_NS - PERIOD_NS, last + 1, PERIOD_NS // 4):
            map_from_odom = self.map_from_odom(time_ns)
            odom = se3.invert(map_from_odom) @ self.world_from_base(time_ns)
            yield time_ns, False, [("map", "odom", map_from_odom), ("odom", self.vehicle, odom)]

    def sweeps(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(frame, time, structured points)."""
        for frame in range(self.scene.n_frames):
            if frame in self.skip.get(LIDAR_TOPIC, ()):
                continue
            time_ns = START_NS + PERIOD_NS * frame
            world = self.scene.points_world((time_ns - START_NS) / 1e9)
            kinds = [
                ("x", "<f4"),
                ("y", "<f4"),
                ("z", "<f4"),
                ("pad", "<u4"),
                ("intensity", "<f4"),
                ("t", "<u4"),
            ]
            points = np.zeros(len(world), dtype=kinds)
            local = se3.apply(se3.invert(self.world_from_base(time_ns) @ BASE_FROM_LIDAR), world)
            for row, axis in enumerate("xyz"):
                points[axis] = local[:, row]
            points["intensity"] = np.arange(len(world)) % 100
            points["t"] = np.linspace(0, 99_000_000, len(world)).astype(np.uint32)
            yield frame, time_ns, points

    def pictures(self) -> Iterator[tuple[int, int, bytes]]:
        """(frame, time, JPEG)."""
        place = BASE_FROM_BODY @ BODY_FROM_OPTICAL
        for frame in range(self.scene.n_frames):
            if frame in self.skip.get(CAMERA_TOPIC, ()):
                continue
            time_ns = START_NS + PERIOD_NS * frame + CAMERA_LAG_NS
            pose = self.world_from_base(time_ns) @ place
            picture = self.scene.picture(camera_model(), pose, (time_ns - START_NS) / 1e9)
            data = simplejpeg.encode_jpeg(np.ascontiguousarray(picture))
            yield frame, time_ns, b"" if frame in self.empty.get(CAMERA_TOPIC, ()) else data

    def stamp(self, topic: str, time_ns: int) -> int:
        return 0 if topic in self.zero_stamps else time_ns + self.stamp_shift_ns.get(topic, 0)


def video_packets(n_frames: int) -> list[bytes]:
    """H.264 in Annex B: one picture per packet, a keyframe every third; frame i is grey i * 40."""
    import av

    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = 192, 108, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, 10), Fraction(10)
    codec.options = {"bf": "0", "g": "3", "tune": "zerolatency", "preset": "ultrafast", "crf": "4"}
    packets: list[bytes] = []
    for row in range(n_frames):
        grey = np.full((108, 192, 3), 20 + row * 40, dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
        frame.pts = row
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets + [bytes(packet) for packet in codec.encode(None)]


def write_ros2(path: Path, log: Log | None = None) -> None:
    from mcap_ros2.writer import Writer

    log = log or Log()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, Writer(file, chunk_size=1 << 16) as writer:
        schemas = {name: writer.register_msgdef(name, text) for name, text in DEFINITIONS.items()}

        def write(topic: str, kind: str, time_ns: int, message: Mapping[str, Any]) -> None:
            writer.write_message(
                topic, schemas[kind], message, log_time=time_ns + 30_000_000, publish_time=time_ns
            )

        def header(topic: str, time_ns: int, frame: str) -> dict[str, Any]:
            return {"stamp": _stamp(log.stamp(topic, time_ns)), "frame_id": frame}

        for time_ns, still, edges in log.transforms():
            topic = "/tf_static" if still else "/tf"
            entries = [
                {
                    "header": header(topic, time_ns, parent),
                    "child_frame_id": child,
                    "transform": _transform(matrix),
                }
                for parent, child, matrix in edges
            ]
            write(topic, "tf2_msgs/msg/TFMessage", time_ns, {"transforms": entries})
        if log.odometry:
            for time_ns in range(
                START_NS - PERIOD_NS, START_NS + PERIOD_NS * log.scene.n_frames, PERIOD_NS // 4
            ):
                moved = _transform(log.world_from_base(time_ns))
                pose = {"pose": {"position": moved["translation"], "orientation": moved["rotation"]}}
                pose["covariance"] = [0.0] * 36
                said = {
                    "header": header("/odom", time_ns, "odom"),
                    "child_frame_id": "base_link",
                    "pose": pose,
                }
                write("/odom", "nav_msgs/msg/Odometry", time_ns, said)
        k, (model, d) = camera_model(), log.distortion
        info = {
            "height": k.height_px,
            "width": k.width_px,
            "distortion_model": model,
            "d": d,
            "k": k.matrix.reshape(-1).tolist(),
            "r": np.eye(3).reshape(-1).tolist(),
            "p": np.hstack([k.matrix, np.zeros((3, 1))]).reshape(-1).tolist(),
            "binning_x": 0,
            "binning_y": 0,
            "roi": {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
        }
        for camera in ("camera_front", "camera_back"):
            topic = f"/{camera}/camera_info"
            head = header(topic, START_NS, f"{camera}_optical_frame")
            write(topic, "sensor_msgs/msg/CameraInfo", START_NS, {"header": head, **info})
        for frame, time_ns, points in log.sweeps():
            data = b"" if frame in log.empty.get(LIDAR_TOPIC, ()) else points.tobytes()
            names = [
                name
                for name in points.dtype.names or ()
                if name != "pad" and (name != "t" or log.point_times)
            ]
            types = {"<f4": 7, "<u4": 6}
            fields = [
                {
                    "name": name,
                    "offset": points.dtype.fields[name][1],
                    "datatype": types[points.dtype[name].str],
                    "count": 1,
                }
                for name in names
            ]
            cloud = {
                "header": header(LIDAR_TOPIC, time_ns, "lidar_top"),
                "height": 1,
                "width": len(points),
                "fields": fields,
                "is_bigendian": False,
                "point_step": points.dtype.itemsize,
                "row_step": len(data),
                "data": data,
                "is_dense": True,
            }
            write(LIDAR_TOPIC, "sensor_msgs/msg/PointCloud2", time_ns, cloud)
        for _, time_ns, data in log.pictures():
            head = header(CAMERA_TOPIC, time_ns, log.camera_frame)
            write(
                CAMERA_TOPIC,
                "sensor_msgs/msg/CompressedImage",
                time_ns,
                {"header": head, "format": "jpeg", "data": data},
            )
        if log.video:
            for row, packet in enumerate(video_packets(log.scene.n_frames)):
                time_ns = START_NS + PERIOD_NS * row
                said = {
                    "timestamp": _stamp(time_ns),
                    "frame_id": "lidar_top",
                    "data": packet,
                    "format": "h264",
                }
                write(VIDEO_TOPIC, "foxglove_msgs/msg/CompressedVideo", time_ns, said)


def write_foxglove(path: Path, log: Log | None = None) -> None:
    from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
    from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
    from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
    from foxglove_schemas_protobuf.Odometry_pb2 import Odometry
    from foxglove_schemas_protobuf.PackedElementField_pb2 import PackedElementField
    from foxglove_schemas_protobuf.PointCloud_pb2 import PointCloud
    from mcap_protobuf.writer import Writer

    log = log or Log()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, Writer(file, chunk_size=1 << 16) as writer:

        def write(topic: str, time_ns: int, message: Any) -> None:
            if hasattr(message, "timestamp"):
                message.timestamp.FromNanoseconds(log.stamp(topic, time_ns))
            writer.write_message(topic, message, log_time=time_ns + 30_000_000, publish_time=time_ns)

        for time_ns, _, edges in log.transforms():
            message = FrameTransforms()
            for parent, child, matrix in edges:
                entry = message.transforms.add(parent_frame_id=parent, child_frame_id=child)
                entry.timestamp.FromNanoseconds(time_ns)
                for part, numbers in _transform(matrix).items():
                    for axis, number in numbers.items():
                        setattr(getattr(entry, part), axis, number)
            write("/tf", time_ns, message)
        if log.odometry:
            for time_ns in range(
                START_NS - PERIOD_NS, START_NS + PERIOD_NS * log.scene.n_frames, PERIOD_NS // 4
            ):
                said = Odometry(frame_id="odom", body_frame_id="base_link")
                moved = _transform(log.world_from_base(time_ns))
                for part, numbers in (("position", moved["translation"]), ("orientation", moved["rotation"])):
                    for axis, number in numbers.items():
                        setattr(getattr(said.pose, part), axis, number)
                write("/odom", time_ns, said)
        k, (model, d) = camera_model(), log.distortion
        for camera in ("camera_front", "camera_back"):
            info = CameraCalibration(
                frame_id=f"{camera}_optical_frame",
                width=k.width_px,
                height=k.height_px,
                distortion_model=model,
                D=d,
                K=k.matrix.reshape(-1).tolist(),
                R=np.eye(3).reshape(-1).tolist(),
                P=np.hstack([k.matrix, np.zeros((3, 1))]).reshape(-1).tolist(),
            )
            write(f"/{camera}/calibration", START_NS, info)
        for frame, time_ns, points in log.sweeps():
            data = b"" if frame in log.empty.get(LIDAR_TOPIC, ()) else points.tobytes()
            cloud = PointCloud(frame_id="lidar_top", point_stride=points.dtype.itemsize, data=data)
            cloud.pose.orientation.w = 1.0
            for name in points.dtype.names or ():
                if name != "pad" and (name != "t" or log.point_times):
                    kind = {"<f4": PackedElementField.FLOAT32, "<u4": PackedElementField.UINT32}
                    dtype, offset = points.dtype.fields[name][:2]
                    cloud.fields.add(name=name, offset=offset, type=kind[dtype.str])
            write(LIDAR_TOPIC, time_ns, cloud)
        for _, time_ns, data in log.pictures():
            write(CAMERA_TOPIC, time_ns, CompressedImage(frame_id=log.camera_frame, format="jpeg", data=data))
        if log.video:
            for row, packet in enumerate(video_packets(log.scene.n_frames)):
                said = CompressedVideo(frame_id="lidar_top", format="h264", data=packet)
                write(VIDEO_TOPIC, START_NS + PERIOD_NS * row, said)


def _stamp(time_ns: int) -> dict[str, int]:
    return {"sec": time_ns // 1_000_000_000, "nanosec": time_ns % 1_000_000_000}


def _transform(matrix: np.ndarray) -> dict[str, dict[str, float]]:
    x, y, z, qw, qx, qy, qz = se3.to_pose(matrix).tolist()
    return {"translation": {"x": x, "y": y, "z": z}, "rotation": {"x": qx, "y": qy, "z": qz, "w": qw}}
