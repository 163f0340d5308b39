"""How a checkpoint becomes an index: encoding, mining, publishing."""

from tools.dashboards.model import Dashboard, Panel, Query, Row, quantiles

PASS = Row(
    "The pass under way",
    (
        Panel(
            "Shards encoded",
            "Of the refresh under way.",
            "none",
            (
                Query("max(ance_indexer_refresh_shards_done{SEL})", "done"),
                Query("max(ance_indexer_refresh_shards{SEL})", "all"),
            ),
        ),
        Panel(
            "Phases of the last refresh",
            "Merging happens while shards arrive and is not counted as encoding.",
            "s",
            (Query("max by (phase) (ance_indexer_phase_seconds{SEL})", "{{phase}}"),),
            log=True,
        ),
        Panel(
            "Time of a refresh",
            "From the first task to published negatives.",
            "s",
            quantiles("ance_indexer_refresh_duration_seconds"),
            width=8,
        ),
        Panel(
            "Leaders",
            "Exactly 1 while a run is refreshed.",
            "none",
            (Query("sum(ance_indexer_leader{SEL})", "leaders"),),
            width=8,
        ),
        Panel(
            "Versions published",
            "And failed, by kind.",
            "short",
            (
                Query(
                    "sum by (kind, result) (increase(ance_indexer_publishes_total{SEL}[$__rate_interval]))",
                    "{{kind}} {{result}}",
                ),
            ),
            width=8,
        ),
    ),
)

QUEUE = Row(
    "Queue",
    (
        Panel(
            "Tasks",
            "The length of the two streams: what waits and what a worker has.",
            "none",
            (
                Query("max(ance_queue_waiting{SEL})", "waiting"),
                Query("max(ance_queue_pending{SEL})", "in hand"),
                Query("max(ance_queue_dead{SEL})", "dead"),
            ),
            width=8,
        ),
        Panel(
            "Oldest task",
            "Age of the oldest unfinished task.",
            "s",
            (Query("max(ance_queue_oldest_age_seconds{SEL})", "age"),),
            width=8,
        ),
        Panel(
            "Redis answers",
            "1 while the leader reaches Redis.",
            "none",
            (Query("max(ance_queue_up{SEL})", "up"),),
            width=8,
        ),
    ),
)

ENCODING = Row(
    "Encoding",
    (
        Panel(
            "Texts encoded",
            "A second, by part.",
            "short",
            (Query("sum by (part) (rate(ance_inferencer_rows_encoded_total{SEL}[$__rate_interval]))", "{{part}}"),),
        ),
        Panel(
            "Tokens",
            "A second and inferencer, padding not counted.",
            "short",
            (Query("sum by (instance) (rate(ance_inferencer_tokens_total{SEL}[$__rate_interval]))", "{{instance}}"),),
        ),
        Panel(
            "Busy",
            "Share of the time with a task in hand. Idle inferencers cost money; busy ones bound the refresh.",
            "percentunit",
            (
                Query(
                    "sum by (instance) (rate(ance_inferencer_busy_seconds_total{SEL}[$__rate_interval]))",
                    "{{instance}}",
                ),
                Query("avg(ance_inferencer_busy{SEL})", "share busy now"),
            ),
        ),
        Panel(
            "Tasks by how they ended",
            "lost: the lease ran out, another worker does it again. failed: tried again, then a dead letter.",
            "short",
            (
                Query(
                    "sum by (result) (increase(ance_inferencer_tasks_total{SEL}[$__rate_interval]))",
                    "{{result}}",
                ),
                Query("sum(increase(ance_inferencer_redelivered_total{SEL}[$__rate_interval]))", "delivered again"),
            ),
        ),
        Panel(
            "Time of a task",
            "A shard should take 30 to 120 seconds, so that a lost worker costs little.",
            "s",
            quantiles("ance_inferencer_task_duration_seconds"),
            width=8,
        ),
        Panel(
            "Time of a batch",
            "One forward pass.",
            "s",
            quantiles("ance_inferencer_batch_duration_seconds"),
            width=8,
        ),
        Panel(
            "Time to load a checkpoint",
            "Fetched, verified and loaded, usually before the first task needs it.",
            "s",
            quantiles("ance_inferencer_checkpoint_load_seconds"),
            width=8,
        ),
        Panel(
            "Out of memory",
            "Batches that were encoded in halves.",
            "short",
            (Query("sum(increase(ance_inferencer_oom_retries_total{SEL}[$__rate_interval]))", "batches"),),
        ),
        Panel(
            "Checkpoint loaded",
            "By inferencer: all should follow the newest.",
            "none",
            (Query("max by (instance) (ance_inferencer_checkpoint_step{SEL})", "{{instance}}"),),
        ),
    ),
)

INDEX = Row(
    "Index and store",
    (
        Panel(
            "Vectors",
            "In the index published last.",
            "short",
            (Query("max(ance_indexer_index_vectors{SEL})", "vectors"),),
            width=8,
        ),
        Panel(
            "Recall of the index",
            "Share of the exact top passages that the index finds, on a sample: 1 for an exact index.",
            "percentunit",
            (Query("max(ance_indexer_recall_probe_ratio{SEL})", "recall"),),
            width=8,
        ),
        Panel(
            "Candidates dropped",
            "By filter: known positives, margins, answers.",
            "short",
            (
                Query(
                    "sum by (filter) (increase(ance_indexer_candidates_dropped_total{SEL}[$__rate_interval]))",
                    "{{filter}}",
                ),
            ),
            width=8,
        ),
        Panel(
            "Versions deleted",
            "By retention, by kind.",
            "short",
            (
                Query(
                    "sum by (kind) (increase(ance_indexer_retention_deleted_total{SEL}[$__rate_interval]))", "{{kind}}"
                ),
            ),
            width=8,
        ),
        Panel(
            "Store retries",
            "Calls that failed and were tried again, by kind of process.",
            "short",
            (Query("sum by (job) (increase(ance_store_retries_total{SEL}[$__rate_interval]))", "{{job}}"),),
            width=8,
        ),
    ),
)

DASHBOARD = Dashboard(
    "ance-refresh",
    "ANCE / Refresh pipeline",
    "Queue, encoding, mining, publishing: what the age of the negatives is made of.",
    "ance_indexer_leader",
    (PASS, QUEUE, ENCODING, INDEX),
)
