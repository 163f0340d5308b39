"""Loss and gradient norms as they were recorded."""

import pytest

from ance.evaluation.report.convergence import convergence_section, stage_change
from ance.evaluation.report.theme import LIGHT
from tests.evaluation.report.pictures import assert_drawable, figures, missing, traces
from tests.evaluation.report.records import STEPS, WARMUP, step_records


def test_every_layer_group_on_record_has_a_line_of_all_steps() -> None:
    section = convergence_section(step_records(), "ance up")
    assert_drawable(section)
    norms = traces(figures(section)["gradient-norms"])
    assert list(norms) == ["embeddings", "bottom", "top", "all layers"]
    assert norms["top"]["y"] == [3.0] * STEPS
    assert len({(trace["line"]["color"], trace["line"]["dash"]) for trace in norms.values()}) == len(norms)


def test_the_caption_compares_the_stages() -> None:
    caption = figures(convergence_section(step_records(), ""))["gradient-norms"].caption
    assert "2 in the warm-up stage and 4 in the ANCE stage" in caption


def test_bounds_are_compared_by_kind_of_negative_each_where_it_was_in_use() -> None:
    figure = figures(convergence_section(step_records(), ""))["instance-bounds"]
    lines = traces(figure)
    assert list(lines) == ["ANCE", "BM25", "in-batch"]
    assert lines["BM25"]["x"][-1] == WARMUP and lines["ANCE"]["x"][0] == WARMUP + 1
    assert "ANCE 3, BM25 1, in-batch 0.5" in figure.caption


def test_a_mixture_of_negatives_is_a_kind_of_its_own() -> None:
    steps = step_records()
    for step in steps[WARMUP:]:
        bounds = step["instance_gradient_norm_bounds"]
        bounds["ance+random"] = bounds.pop("ance")
    figure = figures(convergence_section(steps, ""))["instance-bounds"]
    assert list(traces(figure)) == ["BM25", "in-batch", "ance+random"]
    assert "ance+random 3" in figure.caption


def test_steps_that_recorded_no_norms_are_left_out() -> None:
    steps = step_records()
    for step in steps:
        if step["step"] % 10:
            del step["gradient_norms"], step["instance_gradient_norm_bounds"]
    norms = traces(figures(convergence_section(steps, ""))["gradient-norms"])
    assert norms["top"]["x"] == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]


def test_a_run_that_never_recorded_norms_shows_its_loss_alone() -> None:
    steps = [{key: value for key, value in step.items() if "norm" not in key} for step in step_records()]
    assert list(figures(convergence_section(steps, ""))) == ["loss"]


def test_a_line_marks_where_the_stage_changes() -> None:
    (shape,) = stage_change(LIGHT, step_records())["shapes"]
    assert shape["x0"] == shape["x1"] == WARMUP + 1


@pytest.mark.parametrize("stage", ["warmup", "ance"])
def test_a_run_of_one_stage_has_no_such_line(stage: str) -> None:
    assert stage_change(LIGHT, [step for step in step_records() if step["stage"] == stage]) == {}


def test_without_steps_it_says_what_to_run() -> None:
    assert [part.command for part in missing(convergence_section([], "ance up"))] == ["ance up"]


def test_two_towers_have_lines_of_their_own() -> None:
    steps = step_records()
    for step in steps:
        norms = step["gradient_norms"]
        step["gradient_norms"] = {"query.top": 1.0, "passage.top": norms["top"], "global": norms["global"]}
    norms = traces(figures(convergence_section(steps, ""))["gradient-norms"])
    assert list(norms) == ["passage: top", "query: top", "all layers"]
    styles = [(trace["line"]["color"], trace["line"]["dash"], trace["line"]["width"]) for trace in norms.values()]
    assert len(set(styles)) == 3
