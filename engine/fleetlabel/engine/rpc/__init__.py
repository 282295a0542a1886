"""The engine as a gRPC service: what ``fleetlabel serve`` runs.

grpc and prometheus_client are imported here only (and grpc by the client); conversions between messages and the rest of
the code are in :mod:`fleetlabel.wire`.
"""

from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.server import EngineServer, serve
from fleetlabel.engine.rpc.settings import ServeSettings

__all__ = ["EngineServer", "ServeSettings", "ServedEngine", "serve"]
