"""The async gap and what newer versions are worth."""

from ance.evaluation.report.freshness import freshness_section
from tests.evaluation.report.pictures import assert_drawable, figures, missing, traces
from tests.evaluation.report.records import WARMUP, refresh_records, step_records


def test_the_gap_is_drawn_by_step_and_absent_during_the_warm_up() -> None:
    section = freshness_section(step_records(), refresh_records(), "ance up")
    assert_drawable(section)
    gap = traces(figures(section)["async-gap"])["async gap"]["y"]
    assert gap[: WARMUP + 1] == [None] * WARMUP + [1.0]
    assert max(value for value in gap if value is not None) == 19


def test_its_caption_gives_mean_and_largest_gap_in_steps_and_seconds() -> None:
    caption = figures(freshness_section(step_records(), refresh_records(), ""))["async-gap"].caption
    assert "10 steps old on average and 19 at most (14 and 28 s)" in caption


def test_the_dev_curve_has_a_point_a_version() -> None:
    figure = figures(freshness_section(step_records(), refresh_records(), ""))["dev"]
    curve = traces(figure)["RR@10"]
    assert (curve["x"], curve["y"]) == ([20.0, 40.0, 60.0], [0.32, 0.34, 0.36])
    assert "best of 3 versions is that of step 60 with 0.360" in figure.caption


def test_what_is_not_there_yet_is_said_beside_what_is() -> None:
    warmup = [step for step in step_records() if step["stage"] == "warmup"]
    section = freshness_section(warmup, refresh_records(), "ance up")
    assert list(figures(section)) == ["dev"] and len(missing(section)) == 1
    section = freshness_section(step_records(), [dict(refresh_records()[0], dev={})], "ance up")
    assert list(figures(section)) == ["async-gap"] and len(missing(section)) == 1
