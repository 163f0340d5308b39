import pytest
from redis import Redis

from ance.runtime.shutdown import Shutdown
from tests.kubernetes_api.fixtures import api, cluster
from tests.services.conftest import NewRun
from tests.services.indexer.passes import Pass

__all__ = ["api", "cluster", "under_way"]


@pytest.fixture
def under_way(new_run: NewRun, client: Redis, shutdown: Shutdown) -> Pass:
    """A pass of ten tasks: three of training queries, one of dev queries, six of passages."""
    return Pass(new_run(), client, shutdown)
