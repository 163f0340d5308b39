"""The loop of an inferencer: take a task under a lease, encode its rows or score its pairs, store that, report."""

import hashlib
import io
import time
from collections.abc import Callable

import numpy as np

from ance.data.dataset import Dataset
from ance.data.ragged import Ragged
from ance.errors import AnceError
from ance.model.chunks import Chunking
from ance.model.encoding import EncodingStopped
from ance.runtime.contracts import EncodeTask, Part, RunConfig, ScoreTask, Task
from ance.runtime.health import Health
from ance.runtime.kubernetes.deletion_cost import TellBusy, untold
from ance.runtime.logs import get_logger
from ance.runtime.metrics import InferencerMetrics
from ance.runtime.queue import TaskQueue
from ance.runtime.queue.lease import TaskLease
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store
from ance.runtime.tracing import Span, current_span, span
from services.inferencer.encoders import Encoders
from services.inferencer.scoring import PairScorer

log = get_logger(__name__)

BLOCK_SECONDS = 1.0
"""How long one wait for a task lasts: the longest delay between SIGTERM and leaving an idle loop."""


class Inferencer:
    """Does the tasks of one run until told to stop."""

    def __init__(
        self,
        config: RunConfig,
        dataset: Dataset,
        store: Store,
        queue: TaskQueue,
        encoders: Encoders,
        scorer: PairScorer,
        metrics: InferencerMetrics,
        shutdown: Shutdown,
        *,
        health: Health | None = None,
        tell_busy: TellBusy = untold,
    ) -> None:
        self._config = config
        self._dataset = dataset
        self._store = store
        self._queue = queue
        self._encoders = encoders
        self._scorer = scorer
        self._metrics = metrics
        self._shutdown = shutdown
        self._health = health or Health()
        self._tell_busy = tell_busy
        self._chunking = Chunking.of(config.model, dataset.special)

    def run(self) -> None:
        """Work until shutdown is requested. A task in hand is then handed back at once."""
        self._health.ready()
        while not self._shutdown.requested:
            self._health.beat()
            lease = self._queue.take(BLOCK_SECONDS)
            self._tell_busy(lease is not None)
            if lease is not None:
                with task_span(lease):
                    self._handle(lease)
        self._queue.leave()

    def _handle(self, lease: TaskLease) -> None:
        task = lease.task
        started = time.perf_counter()
        self._metrics.busy.set(1)
        if lease.attempt > 1:
            self._metrics.redelivered.inc()
        try:
            with lease:
                result = self._stored(task) or self._do(task, lease)
                lease.done(result)
            outcome = "done"
        except EncodingStopped:
            outcome = self._stopped(lease)
        except (AnceError, OSError, ValueError, RuntimeError) as error:
            log.exception("task failed", extra={"task": task.id})
            lease.fail(f"{type(error).__name__}: {error}")
            current_span().describe({"error.type": type(error).__qualname__})
            outcome = "failed"
        current_span().set(result=outcome)
        seconds = time.perf_counter() - started
        self._metrics.busy.set(0)
        self._metrics.busy_seconds.inc(seconds)
        self._metrics.tasks.labels(result=outcome).inc()
        self._metrics.task_duration_seconds.observe(seconds)
        log.info("task %s", outcome, extra={"task": task.id, "seconds": round(seconds, 3)})

    @staticmethod
    def _stopped(lease: TaskLease) -> str:
        """Settle a task that was not finished; returns the outcome."""
        if lease.lost.is_set():
            return "lost"
        if lease.cancelled.is_set():
            lease.discard()
        else:
            lease.hand_back()
        return "handed_back"

    def _do(self, task: Task, lease: TaskLease) -> dict[str, str]:
        """Do a task and store what comes of it. Stops between batches: on shutdown, a lost lease, a cancelled task."""
        started = time.perf_counter()
        should_stop = self._health.beating(lambda: self._shutdown.requested or lease.interrupted)
        match task:
            case EncodeTask():
                found, counter = self._encode(task, should_stop), self._metrics.rows_encoded.labels(part=task.part)
            case ScoreTask():
                found, counter = self._score(task, should_stop), self._metrics.pairs_scored
        data = npy_bytes(found)
        if not self._store.write_new(task.output_uri, data):
            # A worker that lost its lease still finished: its output stands, whoever reads it has one version.
            data = self._store.read(task.output_uri)
        counter.inc(task.size)
        return describe(data, seconds=time.perf_counter() - started)

    def _encode(self, task: EncodeTask, should_stop: Callable[[], bool]) -> np.ndarray:
        tokens, max_tokens = self._tokens(task)
        with self._health.long_work():
            encoder = self._encoders.get(task.checkpoint_uri, task.checkpoint_sha256)
        if task.part is not Part.PASSAGES:
            encoder = encoder.queries
        return encoder.encode_rows(
            tokens,
            0,
            len(tokens),
            max_tokens,
            should_stop=should_stop,
            on_batch=self._count_batch,
            on_out_of_memory=self._metrics.oom_retries.inc,
        )

    def _score(self, task: ScoreTask, should_stop: Callable[[], bool]) -> np.ndarray:
        with self._health.long_work():
            self._scorer.load(task)
        return self._scorer.score(task, should_stop)

    def _stored(self, task: Task) -> dict[str, str] | None:
        """The result of a task that another delivery has already finished, or None."""
        if not self._store.exists(task.output_uri):
            return None
        return describe(self._store.read(task.output_uri), seconds=0.0)

    def _tokens(self, task: EncodeTask) -> tuple[Ragged, int]:
        """What to encode, one text a vector, and the longest that a text may be."""
        model = self._config.model
        match task.part:
            case Part.PASSAGES:
                passages = self._dataset.passages.tokens.part(task.start, task.stop)
                return self._chunking.split(passages), model.max_passage_tokens
            case Part.TRAIN_QUERIES:
                queries = self._dataset.queries("train").tokens
            case Part.DEV_QUERIES:
                queries = self._dataset.queries("dev").tokens
        return queries.part(task.start, task.stop), model.max_query_tokens

    def _count_batch(self, rows: int, tokens: int, seconds: float) -> None:
        self._metrics.tokens.inc(tokens)
        self._metrics.batch_duration_seconds.observe(seconds)
        current_span().add(tokens=tokens)


def task_span(lease: TaskLease) -> Span:
    """A part of the refresh that the task belongs to; the tokens are counted as they are encoded."""
    task = lease.task
    return span(
        "score" if isinstance(task, ScoreTask) else "encode",
        parent=task.traceparent,
        step=task.step,
        part=str(task.part),
        shard=task.shard,
        rows=task.size,
        attempt=lease.attempt,
    )


def npy_bytes(vectors: np.ndarray) -> bytes:
    """The array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    return buffer.getvalue()


def describe(data: bytes, seconds: float) -> dict[str, str]:
    """What the completion record says of a stored shard."""
    return {
        "size": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "seconds": f"{seconds:.6f}",
    }
