"""Every alert fires when it should and is quiet when it should be, in promtool's clockwork."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.observability.rules import RULES, alerts

Series = Mapping[str, str]
"""A series -> its values, one a minute, as promtool writes them."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is missing")

NAN = "NaN " * 100
TRAINING = {
    "ance_trainer_step": "0+10x100",
    "ance_trainer_total_steps": "100000x100",
    "ance_trainer_waiting": "0x100",
}
ENCODED = {"ance_indexer_refresh_shards": "8x100", "ance_indexer_refresh_shards_done": "8x100"}
PHASES = {f'ance_indexer_phase_seconds{{phase="{phase}"}}': "200x100" for phase in ("encode", "merge", "negatives")}


def searches(ok: str, failed: str = "0x100") -> Series:
    return {
        'ance_search_requests_total{mode="dense", code="200"}': ok,
        'ance_search_requests_total{mode="dense", code="500"}': failed,
    }


def latencies(fast: str, all_of_them: str) -> Series:
    return {
        'ance_search_request_duration_seconds_bucket{mode="dense", le="0.25"}': fast,
        'ance_search_request_duration_seconds_count{mode="dense"}': all_of_them,
    }


def tasks(result: str, values: str) -> Series:
    return {f'ance_inferencer_tasks_total{{result="{result}"}}': values}


@dataclass(frozen=True)
class Case:
    """Two worlds, 90 minutes after their first minute: one with the trouble, one that only looks like it."""

    fires: Series
    quiet: Series


CASES = {
    "AnceTrainerStalled": Case(
        TRAINING | {"ance_trainer_step": "0+10x30 300x70"},
        TRAINING | {"ance_trainer_step": "300x100", "ance_trainer_waiting": "1x100"},
    ),
    "AnceGradNormVanishing": Case(
        {'ance_trainer_gradient_norm{group="global"}': "2x59 0.001x100"},
        {'ance_trainer_gradient_norm{group="global"}': "2x59 0.1x100"},
    ),
    "AnceGradNormNonFinite": Case(
        {"ance_trainer_nonfinite_total": "0x84 1x100"},
        {"ance_trainer_nonfinite_total": "1x100"},
    ),
    "AnceAsyncGapHigh": Case(
        TRAINING | {"ance_trainer_async_gap_steps": "51x100", "ance_trainer_checkpoint_interval_steps": "10x100"},
        TRAINING | {"ance_trainer_async_gap_steps": "50x100", "ance_trainer_checkpoint_interval_steps": "10x100"},
    ),
    "AnceNegativesStale": Case(
        TRAINING | PHASES | {"ance_trainer_negatives_created_timestamp_seconds": "1200x100"},
        TRAINING | PHASES | {"ance_trainer_negatives_created_timestamp_seconds": "4200x100"},
    ),
    "AnceNegativesOverlapCollapsed": Case(
        {'ance_indexer_negatives_overlap_ratio{reference="previous"}': "0.01x100"},
        {
            'ance_indexer_negatives_overlap_ratio{reference="previous"}': "0.6x100",
            'ance_indexer_negatives_overlap_ratio{reference="bm25"}': "0.01x100",
        },
    ),
    "AnceEncodeQueueStuck": Case(
        {"ance_queue_waiting": "10x100", "ance_queue_pending": "2x100", **tasks("failed", "0+1x100")},
        {"ance_queue_waiting": "10x100", "ance_queue_pending": "2x100", **tasks("done", "0+1x100")},
    ),
    "AnceDeadLetters": Case({"ance_queue_dead": "0x80 1x100"}, {"ance_queue_dead": "0x100"}),
    "AnceLeaseChurn": Case(tasks("lost", "0+1x100"), tasks("lost", "5x100") | tasks("done", "0+9x100")),
    "AnceNoLeader": Case(
        {
            'ance_indexer_leader{pod="a"}': "0x100",
            'ance_indexer_leader{pod="b"}': "0x100",
            'ance_indexer_finished{pod="a"}': "0x100",
            'ance_indexer_finished{pod="b"}': "0x100",
        },
        {
            'ance_indexer_leader{pod="a"}': "0x100",
            'ance_indexer_leader{pod="b"}': "1x60 0x100",
            'ance_indexer_finished{pod="a"}': "0x100",
            'ance_indexer_finished{pod="b"}': "0x60 1x100",
        },
    ),
    "AnceIndexPublishFailing": Case(
        ENCODED | {"ance_indexer_refresh_step": "20x100", "ance_indexer_published_step": "10x100"},
        ENCODED
        | {
            "ance_indexer_refresh_step": "20x100",
            "ance_indexer_published_step": "10x100",
            "ance_indexer_refresh_shards_done": "3x100",
        },
    ),
    "AnceIndexRecallLow": Case(
        {"ance_indexer_recall_probe_ratio": "0.98x60 0.8x100"},
        {"ance_indexer_recall_probe_ratio": "0.95x100"},
    ),
    "AnceRedisDown": Case(
        {'ance_queue_up{pod="leader"}': "1x60 0x100", 'ance_queue_up{pod="standby"}': NAN},
        {'ance_queue_up{pod="leader"}': "1x100", 'ance_queue_up{pod="standby"}': NAN},
    ),
    "AnceArtifactStoreErrors": Case(
        {'ance_store_retries_total{pod="a"}': "0+1x100", 'ance_store_retries_total{pod="b"}': "0+1x100"},
        {'ance_store_retries_total{pod="a"}': "40x100", 'ance_store_retries_total{pod="b"}': "0+1x80 80x100"},
    ),
    "AnceSearchIndexSkew": Case(
        {
            'ance_search_index_created_timestamp_seconds{pod="a"}': "1000x100",
            'ance_search_index_created_timestamp_seconds{pod="b"}': "2000x100",
        },
        {
            'ance_search_index_created_timestamp_seconds{pod="a"}': "1000x85 2000x100",
            'ance_search_index_created_timestamp_seconds{pod="b"}': "2000x100",
        },
    ),
    "AnceIndexSwapFailing": Case(
        {'ance_search_index_swaps_total{result="refused"}': "0x80 1x100"},
        {
            'ance_search_index_swaps_total{result="refused"}': "1x100",
            'ance_search_index_swaps_total{result="activated"}': "0+1x100",
        },
    ),
    "AnceSearchErrorBurn": Case(
        searches("0+98x100", "0+2x100"),
        searches("0+98x100", "0+2x20 40x100"),  # long over
    ),
    "AnceSearchLatencyBurn": Case(
        latencies("0+80x100", "0+100x100"),
        latencies("0+99x100", "0+100x100"),
    ),
}


OTHERS = {
    "search-idle": searches("5x100"),
    "search-faultless": {'ance_search_requests_total{mode="dense", code="200"}': "0+5x100"},
}


def of_run(series: str, run: str) -> str:
    name, _, labels = series.partition("{")
    inner = ", ".join(filter(None, ['namespace="default"', 'release="ance"', f'run="{run}"', labels.rstrip("}")]))
    return f"{name}{{{inner}}}"


def worlds() -> list[dict[str, str]]:
    """All cases side by side, as runs named ALERT-fires and ALERT-quiet: rules never mix two runs."""
    named = {f"{alert}-{kind}": getattr(case, kind) for alert, case in CASES.items() for kind in ("fires", "quiet")}
    return [
        {"series": of_run(name, run), "values": values}
        for run, world in (named | OTHERS).items()
        for name, values in world.items()
    ]


def run_promtool(folder: Path, tests: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Play all worlds for 90 minutes."""
    path = folder / "tests.yaml"
    world = {"interval": "1m", "input_series": worlds(), **tests}
    rules = [str(path) for path in RULES]
    path.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": [world]}))
    return subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)


def test_every_alert_has_a_firing_and_a_quiet_case() -> None:
    assert CASES.keys() == alerts().keys()


@needs_promtool
def test_the_rules_are_valid() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", *map(str, RULES)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@needs_promtool
def test_every_alert_fires_in_trouble_and_is_quiet_without(tmp_path: Path) -> None:
    expected = {"fires": [{"labels": "{}", "value": 1}], "quiet": []}
    tests = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing", run="{alert}-{kind}"}})',
            "eval_time": "90m",
            "exp_samples": samples,
        }
        for alert in CASES
        for kind, samples in expected.items()
    ]
    checked = run_promtool(tmp_path, {"promql_expr_test": tests})
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_what_an_alert_says_names_its_run_and_has_no_template_error(tmp_path: Path) -> None:
    # Nothing is expected on purpose: promtool then shows what it got.
    nothing = [{"eval_time": "90m", "alertname": alert, "exp_alerts": []} for alert in CASES]
    shown = run_promtool(tmp_path, {"alert_rule_test": nothing})
    output = shown.stdout + shown.stderr
    assert shown.returncode == 1
    assert "error expanding template" not in output
    for alert in CASES:
        assert re.search(rf'Labels:{{alertname="{alert}",.*\n.*summary="[^"]*{alert}-fires', output), output


@needs_promtool
def test_a_search_nobody_uses_and_one_without_errors_burn_nothing(tmp_path: Path) -> None:
    def ratio(run: str, samples: list[dict[str, object]]) -> dict[str, object]:
        expr = f'run:ance_search_errors:ratio_rate5m{{run="{run}"}}'
        return {"expr": f"sum({expr})", "eval_time": "90m", "exp_samples": samples}

    tests = [ratio("search-idle", []), ratio("search-faultless", [{"labels": "{}", "value": 0}])]
    checked = run_promtool(tmp_path, {"promql_expr_test": tests})
    assert checked.returncode == 0, checked.stdout + checked.stderr
