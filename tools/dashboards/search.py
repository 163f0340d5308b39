"""What a search costs: dense retrieval against BM25 and a reranker."""

from tools.dashboards.model import Dashboard, Panel, Query, Row, quantiles

REQUESTS = Row(
    "Requests",
    (
        Panel(
            "Requests",
            "By what was asked for.",
            "reqps",
            (Query("sum by (mode) (rate(ance_search_requests_total{SEL}[$__rate_interval]))", "{{mode}}"),),
            width=8,
        ),
        Panel(
            "Answers",
            "By HTTP status.",
            "reqps",
            (Query("sum by (code) (rate(ance_search_requests_total{SEL}[$__rate_interval]))", "{{code}}"),),
            width=8,
        ),
        Panel(
            "Requests not worked on",
            "Or not to their end, by reason.",
            "reqps",
            (Query("sum by (reason) (rate(ance_search_rejected_total{SEL}[$__rate_interval]))", "{{reason}}"),),
            width=8,
        ),
    ),
)

LATENCY = Row(
    "Dense against reranked",
    (
        Panel(
            "Latency by mode",
            "Median and 99th percentile. The paper: 11.6 ms dense against 1.42 s with a BERT reranker.",
            "s",
            quantiles("ance_search_request_duration_seconds", by="mode"),
            log=True,
        ),
        Panel(
            "Speed-up over the reranker",
            "Median time of reranking over the median time of dense retrieval, same recent queries.",
            "suffix:x",
            (Query("max(ance_search_rerank_speed_up_ratio{SEL})", "speed-up"),),
        ),
        Panel(
            "Stages",
            "Where the time goes: 99th percentile by stage.",
            "s",
            (
                Query(
                    "histogram_quantile(0.99, sum by (le, stage) "
                    "(rate(ance_search_stage_duration_seconds_bucket{SEL}[$__rate_interval])))",
                    "{{stage}} p99",
                ),
            ),
            log=True,
        ),
        Panel(
            "Slow dense searches",
            "Share of them that took more than 250 ms (objective: 1 %).",
            "percentunit",
            (
                Query(
                    '1 - sum(rate(ance_search_request_duration_seconds_bucket{SEL, mode="dense", le="0.25"}'
                    "[$__rate_interval]))"
                    " / (sum(rate("
                    'ance_search_request_duration_seconds_count{SEL, mode="dense"}[$__rate_interval])) > 0)',
                    "slow",
                ),
            ),
            steps=((0.01, "red"),),
        ),
        Panel(
            "Distribution of the latency",
            "All requests.",
            "s",
            (
                Query(
                    "sum by (le) (increase(ance_search_request_duration_seconds_bucket{SEL}[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
            kind="heatmap",
            width=24,
        ),
    ),
)

LOAD = Row(
    "Load",
    (
        Panel(
            "Queue",
            "Items that are admitted and not answered, by the worker that they wait for.",
            "none",
            (Query("sum by (lane) (ance_search_queue_depth{SEL})", "{{lane}}"),),
        ),
        Panel(
            "Queries a batch",
            "Encoded and searched together.",
            "none",
            quantiles("ance_search_batch_queries"),
        ),
    ),
)

INDEX = Row(
    "Index",
    (
        Panel(
            "Version served",
            "Step of the checkpoint, by replica: they differ for the length of a swap only.",
            "none",
            (Query("max by (instance) (ance_search_index_step{SEL})", "{{instance}}"),),
            width=8,
        ),
        Panel(
            "Age of the version",
            "By replica.",
            "s",
            (Query("time() - max by (instance) (ance_search_index_created_timestamp_seconds{SEL})", "{{instance}}"),),
            width=8,
        ),
        Panel(
            "Swaps",
            "refused: the version was not fit to serve. failed: it could not be fetched.",
            "short",
            (Query("sum by (result) (increase(ance_search_index_swaps_total{SEL}[$__rate_interval]))", "{{result}}"),),
            width=8,
        ),
        Panel(
            "Time of a swap",
            "Fetched, verified, loaded and probed, while the version before serves.",
            "s",
            quantiles("ance_search_index_swap_seconds"),
        ),
        Panel(
            "Pinned replicas",
            "Replicas that a rollback holds at their version.",
            "none",
            (Query("sum(ance_search_index_pinned{SEL})", "pinned"),),
        ),
    ),
)

DASHBOARD = Dashboard(
    "ance-search",
    "ANCE / Search against reranker",
    "Latency by mode and stage, load, and the version being served.",
    "ance_search_index_step",
    (REQUESTS, LATENCY, LOAD, INDEX),
)
