"""What the terminal shows of a run."""

import io

import pytest
from rich.console import Console

from ance.cli.progress import Progress, clock, line, panel
from ance.cli.stack import free_port
from ance.cli.status import Status
from ance.runtime.metrics import IndexerMetrics, SearchMetrics, TrainerMetrics, serve

URL = "http://127.0.0.1:65535"


def far_along() -> Status:
    """A run whose every figure is as wide as it gets."""
    status = Status(
        stage="ANCE",
        step=123_456,
        total_steps=1_000_000,
        loss=0.12345,
        gradient_norm=1234.5678,
        waiting=True,
        async_gap=12_345,
        async_gap_seconds=54_321.0,
        refresh_step=123_000,
        shards_done=1_000,
        shards=2_000,
        refreshes=123,
        serving_step=110_000,
        dev={1_000 * number: number / 1000 for number in range(1, 41)},
    )
    status.pace.observe(123_000, 0.0)
    status.pace.observe(123_456, 45.6)
    return status


def rendered(status: Status, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(panel(status, "run demo · 1:02:03", URL))
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(output, str)
    return output


def test_the_panel_shows_everything_uncut_in_80_columns() -> None:
    shown = rendered(far_along())
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    for text in (
        *("run demo · 1:02:03", "ANCE", "waiting for negatives", "123456/1000000, ends in 24:20:54", "0.1235"),
        *("gradient norm 1234.57", "12345 steps", "54321 s", "of step 123000, 123 done"),
        *(f"{URL}/v1/search", "version 110000", "dev RR@10 by version"),
    ):
        assert text in shown, text


def test_the_panel_has_the_dev_metric_of_the_newest_versions_each_in_one_piece() -> None:
    shown = rendered(far_along())
    assert all(f"{1_000 * number}: {number / 1000:.3f}" in shown for number in range(17, 41))
    assert "16000:" not in shown


def test_the_bars_grow_with_steps_and_shards() -> None:
    rows = rendered(Status(step=40, total_steps=80, shards_done=2, shards=8)).splitlines()
    assert [row.count("━") for row in rows if row.startswith(("training", "refresh"))] == [16, 8]  # of 32


def test_a_run_that_has_just_started_shows_no_invented_figures() -> None:
    shown = rendered(Status())
    assert "starting" in shown and "no version yet" in shown and "0 done" in shown
    assert not any(text in shown for text in ("0/0", "nan", "None", "dev RR@10", "ends in"))


def test_without_search_the_panel_does_not_mention_it() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(panel(Status(), "run demo", None))
    assert "search" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_run_that_ends_early_says_why() -> None:
    status = far_along()
    status.stopping = True
    assert line(status).startswith("ANCE (ends early, no gain on dev) · step 123456/1000000")
    assert "ends in" not in line(status)
    assert "ends early, no gain on dev" in rendered(status)


def test_the_line_has_every_figure() -> None:
    assert line(far_along()) == (
        "ANCE (waiting for negatives) · step 123456/1000000 · loss 0.123 · async gap 12345 steps, 54321 s · "
        "refresh of step 123000: 1000/2000 shards · dev RR@10 0.040 (version 40000) · training ends in 24:20:54"
    )


def test_the_line_leaves_out_what_is_not_known() -> None:
    assert line(Status()) == "starting"


def test_elsewhere_than_on_a_terminal_a_line_is_printed_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    trainer, indexer, search = TrainerMetrics(), IndexerMetrics(), SearchMetrics()
    trainer.set_stage("warmup")
    trainer.total_steps.set(80)
    trainer.observe_step(step=3, loss=0.5, learning_rate=1e-3, seconds=0.1, tokens=10)
    search.index_step.set(0)
    registries = {"trainer": trainer.registry, "indexer": indexer.registry, "search": search.registry}
    servers = {name: serve(registry, 0, "127.0.0.1") for name, registry in registries.items()}
    try:
        urls = {name: f"http://127.0.0.1:{server.port}/metrics" for name, server in servers.items()}
        with Progress(urls, URL, "run demo") as progress:
            progress.update()
            progress.update()
    finally:
        for server in servers.values():
            server.stop()
    assert progress.status.serving_step == 0
    assert capsys.readouterr().out == "0:00 · warm-up · step 3/80 · loss 0.500\n"


def test_services_that_are_not_up_yet_are_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress({"trainer": f"http://127.0.0.1:{free_port()}/metrics"}, URL, "run demo") as progress:
        progress.update()
    assert capsys.readouterr().out == "0:00 · starting\n"


def test_a_message_is_one_line_as_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    message = "trainer died [/signal] :skull: " + "/a/long/path" * 20
    with Progress({}, URL, "run demo") as progress:
        progress.say(message)
    assert capsys.readouterr().out == f"{message}\n"


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3_725, "1:02:05")])
def test_times_are_shown_as_on_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
