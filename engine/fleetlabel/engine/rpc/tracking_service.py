"""The service that makes label versions of boxes."""

from __future__ import annotations

import grpc

from fleetlabel.engine.rpc.access import Context
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.operation_messages import start
from fleetlabel.engine.rpc.requests import chunk_config, needed, settings_of
from fleetlabel.v1 import tracking_service_pb2 as pb
from fleetlabel.v1 import tracking_service_pb2_grpc as services


class TrackingService(services.TrackingServiceServicer):
    """See tracking_service.proto."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine

    async def StartTracking(self, request: pb.StartTrackingRequest, _: Context) -> pb.StartTrackingResponse:
        """Tracks, smooths, and writes a label version."""
        config = {**chunk_config(request.chunk_frames), "track": settings_of("track", request.track)}
        if request.version:
            config["labels"] = request.version
        store = needed("sequence_id", request.sequence_id)
        operation = await start(self._engine, "track", {"store": store, "config": config}, request.request_id)
        return pb.StartTrackingResponse(operation=operation)


def add_tracking_service(server: grpc.aio.Server, engine: ServedEngine) -> str:
    """Adds the service to a server, and tells its name."""
    services.add_TrackingServiceServicer_to_server(TrackingService(engine), server)
    return "fleetlabel.v1.TrackingService"
