"""One glance: is it learning, is it fresh, is it serving?"""

from tools.dashboards.model import Dashboard, Panel, Query, Row

HEALTH = Row(
    "At a glance",
    (
        Panel(
            "Training",
            "Optimiser steps done, of all steps of the run.",
            "percentunit",
            (Query("max(ance_trainer_step{SEL}) / max(ance_trainer_total_steps{SEL})", "done"),),
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            "Async gap",
            "Steps between the model that learns and the model that mined its negatives.",
            "none",
            (Query("max(ance_trainer_async_gap_steps{SEL})", "steps"),),
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            "Age of the negatives",
            "Time since the checkpoint that mined the negatives in use was made.",
            "s",
            (Query("time() - max(ance_trainer_negatives_created_timestamp_seconds{SEL})", "age"),),
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            "Last refresh",
            "From the first encode task to published negatives.",
            "s",
            (
                Query(
                    'sum(max by (phase) (ance_indexer_phase_seconds{SEL, phase=~"encode|merge|negatives|score"}))',
                    "time",
                ),
            ),
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            "Dead letters",
            "Encode tasks that failed on every delivery. Anything but 0 needs a person.",
            "none",
            (Query("max(ance_queue_dead{SEL})", "tasks"),),
            kind="stat",
            width=4,
            height=5,
            steps=((1, "red"),),
        ),
        Panel(
            "Search errors",
            "Share of the requests that ended with a server error (objective: 0.1 %).",
            "percentunit",
            (
                Query(
                    '(sum(rate(ance_search_requests_total{SEL, code=~"5.."}[$__rate_interval])) or vector(0))'
                    " / sum(rate(ance_search_requests_total{SEL}[$__rate_interval]))",
                    "errors",
                ),
            ),
            kind="stat",
            width=4,
            height=5,
            steps=((0.001, "orange"), (0.01, "red")),
        ),
    ),
)

LEARNING = Row(
    "Learning and freshness",
    (
        Panel(
            "Dev metrics by version",
            "Exact search over the whole corpus with each version, dev split. It should rise, with dips at most.",
            "percentunit",
            (Query("max by (measure) (ance_indexer_dev_metric{SEL})", "{{measure}}"),),
        ),
        Panel(
            "Steps",
            "The vertical distance from trainer to negatives is the async gap.",
            "none",
            (
                Query("max(ance_trainer_step{SEL})", "trainer"),
                Query("max(ance_trainer_negatives_checkpoint_step{SEL})", "negatives in use"),
                Query("max(ance_indexer_published_step{SEL})", "index published"),
                Query("max(ance_search_index_step{SEL})", "index served"),
            ),
        ),
        Panel(
            "Refresh under way",
            "Shards encoded, of all shards of the pass.",
            "percentunit",
            (
                Query(
                    "max(ance_indexer_refresh_shards_done{SEL}) / max(ance_indexer_refresh_shards{SEL})",
                    "encoded",
                ),
            ),
        ),
        Panel(
            "Queue",
            "Encode tasks that wait, and those that a worker has.",
            "none",
            (
                Query("max(ance_queue_waiting{SEL})", "waiting"),
                Query("max(ance_queue_pending{SEL})", "in hand"),
            ),
        ),
    ),
)

SERVING = Row(
    "Search",
    (
        Panel(
            "Requests",
            "By what was asked for.",
            "reqps",
            (Query("sum by (mode) (rate(ance_search_requests_total{SEL}[$__rate_interval]))", "{{mode}}"),),
        ),
        Panel(
            "Latency",
            "99th percentile by what was asked for.",
            "s",
            (
                Query(
                    "histogram_quantile(0.99, sum by (le, mode) "
                    "(rate(ance_search_request_duration_seconds_bucket{SEL}[$__rate_interval])))",
                    "{{mode}} p99",
                ),
            ),
        ),
    ),
)

PLATFORM = Row(
    "Platform",
    (
        Panel(
            "Processes",
            "Processes that answer scrapes, by what they are.",
            "none",
            (
                Query("count(ance_trainer_waiting{SEL})", "trainer"),
                Query("count(ance_inferencer_busy{SEL})", "inferencer"),
                Query("count(ance_indexer_leader{SEL})", "indexer"),
                Query("count(ance_search_index_step{SEL})", "search"),
            ),
        ),
        Panel(
            "Artifact store",
            "Calls that failed and were tried again, by kind of process.",
            "short",
            (Query("sum by (job) (increase(ance_store_retries_total{SEL}[$__rate_interval]))", "{{job}}"),),
        ),
    ),
)

DASHBOARD = Dashboard(
    "ance-overview",
    "ANCE / Overview",
    "Is it learning, is it fresh, is it serving?",
    "ance_indexer_leader",
    (HEALTH, LEARNING, SERVING, PLATFORM),
)
