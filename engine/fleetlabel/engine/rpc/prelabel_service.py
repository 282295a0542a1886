"""The service that has machines make boxes."""

from __future__ import annotations

from typing import Any

import grpc

from fleetlabel.engine.rpc.access import Context
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.operation_messages import start
from fleetlabel.engine.rpc.requests import chunk_config, needed, settings_of
from fleetlabel.v1 import prelabel_service_pb2 as pb
from fleetlabel.v1 import prelabel_service_pb2_grpc as services
from fleetlabel.wire.errors import RequestError


class PrelabelService(services.PrelabelServiceServicer):
    """See prelabel_service.proto."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine

    async def StartPrelabel(self, request: pb.StartPrelabelRequest, _: Context) -> pb.StartPrelabelResponse:
        """Detects 2D boxes."""
        detector = request.WhichOneof("detector")
        if detector is None:
            raise RequestError("detector", "either model or detections2d", "neither")
        config = {
            **chunk_config(request.chunk_frames),
            detector: needed(detector, getattr(request, detector)),
            "detect": _detect_settings(request.detect),
        }
        store = needed("sequence_id", request.sequence_id)
        operation = await start(
            self._engine, "prelabel", {"store": store, "config": config}, request.request_id
        )
        return pb.StartPrelabelResponse(operation=operation)

    async def StartLift(self, request: pb.StartLiftRequest, _: Context) -> pb.StartLiftResponse:
        """Makes cuboids."""
        config = {**chunk_config(request.chunk_frames), "lift": settings_of("lift", request.lift)}
        if request.detections3d:
            config["detections3d"] = request.detections3d
        store = needed("sequence_id", request.sequence_id)
        operation = await start(self._engine, "lift", {"store": store, "config": config}, request.request_id)
        return pb.StartLiftResponse(operation=operation)


def _detect_settings(detect: pb.DetectSettings) -> dict[str, Any]:
    given = {field.name: value for field, value in detect.ListFields()}
    if ("tile_columns" in given) != ("tile_rows" in given):
        raise RequestError("detect", "tile_columns and tile_rows together", "one of them")
    if "tile_columns" in given:
        given["tiles"] = [given.pop("tile_columns"), given.pop("tile_rows")]
    return given


def add_prelabel_service(server: grpc.aio.Server, engine: ServedEngine) -> str:
    """Adds the service to a server, and tells its name."""
    services.add_PrelabelServiceServicer_to_server(PrelabelService(engine), server)
    return "fleetlabel.v1.PrelabelService"
