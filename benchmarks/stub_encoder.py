"""An inferencer without a model: takes tasks from the real queue and stores made-up vectors.

At once, or at the pace of a GPU, for which it sleeps.

python -m benchmarks.stub_encoder STORE RUN REDIS_URL DIM ROWS_A_SECOND
"""

from __future__ import annotations

import io
import os
import sys
import time
import zlib

import numpy as np

from ance.runtime.queue import TaskQueue
from ance.runtime.redis.client import connect
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store


def main() -> None:
    """Work until SIGTERM."""
    url, run, redis, dim, rows_a_second = sys.argv[1:]
    store, queue = Store.open(url), TaskQueue(connect(redis), run, f"stub-{os.getpid()}")
    with Shutdown() as shutdown:
        while not shutdown.requested:
            lease = queue.take(0.2)
            if lease is None:
                continue
            with lease:
                task = lease.task
                time.sleep(task.size / float(rows_a_second))
                rng = np.random.default_rng(zlib.crc32(task.id.encode()))
                data = io.BytesIO()
                np.save(data, rng.standard_normal((task.size, int(dim)), np.float32), allow_pickle=False)
                store.write_new(task.output_uri, data.getvalue())
                lease.done({"rows": str(task.size)})


if __name__ == "__main__":
    main()
