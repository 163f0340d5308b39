"""A replica that is told of new versions does not wait for its next look at the store."""

from __future__ import annotations

from redis import Redis

from ance.runtime.metrics import SearchMetrics
from ance.runtime.news import spread
from ance.runtime.redis.local_server import LocalRedis
from services.search_api.app import create_app
from tests.services.search_api.live import serving
from tests.services.search_api.tiny_run import TinyRun

NEVER = 3600.0


def test_news_from_redis_brings_the_next_version(run: TinyRun, redis_server: LocalRedis, client: Redis) -> None:
    opened = run.open(poll_seconds=NEVER, redis_url=redis_server.url)
    run.publish(1)
    with serving(lambda draining: create_app(opened, SearchMetrics(), draining)) as live:
        live.wait_for_version(1)
        run.publish(2)
        spread(client, "tiny", 2)
        live.wait_for_version(2)
