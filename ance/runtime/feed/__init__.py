"""The checkpoint feed: a trainer announces its newest checkpoint, the fleet watches it (gRPC)."""

from ance.runtime.feed.server import CheckpointServer
from ance.runtime.feed.watcher import CheckpointWatcher

__all__ = ["CheckpointServer", "CheckpointWatcher"]
