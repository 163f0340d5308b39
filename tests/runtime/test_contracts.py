"""Sections of a run's configuration that do not fit together are refused."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ance.errors import AnceError
from ance.runtime.contracts import RunConfig
from tests.system.tiny import config

NONE = {"steps": 0, "learning_rate": 1e-3, "negatives": "bm25"}
ADORE = {"steps": 60, "learning_rate": 1e-3, "negatives": "adore"}


def parsed(**sections: dict[str, Any]) -> RunConfig:
    values = config(Path("encoder"))
    values["training"] |= {"max_async_gap": 0, "ance": ADORE}
    for section, changes in sections.items():
        values[section] = values.get(section, {}) | changes
    return RunConfig.parse(yaml.safe_dump(values), "run.yaml")


def test_adore_goes_with_the_defaults_of_the_other_sections() -> None:
    assert parsed().training.ance.retrieves


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"negatives": {"momentum": 0.2}}, "momentum and lookahead are of mined versions"),
        ({"negatives": {"lookahead": 0.2}}, "momentum and lookahead are of mined versions"),
        (
            {"training": {"negatives_per_query": 21, "warmup": NONE}},
            r"draws 21 of negatives.candidates \(20\) in training.ance",
        ),
        ({"model": {"max_chunks": 4}}, "set model.max_chunks: 1"),
        ({"training": {"checkpoint_steps": "20:5"}}, "'training.checkpoint_steps'.*must rise from 0"),
    ],
)
def test_what_does_not_go_with_it_is_refused(sections: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(AnceError, match=message):
        parsed(**sections)


@pytest.mark.parametrize(("depth", "fits"), [(4, False), (5, True), (20, True), (21, False), (None, True)])
def test_a_teacher_scores_as_many_negatives_as_are_published_and_no_more_than_there_are(
    depth: int | None, fits: bool
) -> None:
    teacher = {"cross_encoder": "folder", "denoise_margin": 1.0, "depth": depth}
    ance = {"steps": 60, "learning_rate": 1e-3, "negatives": "ance", "teacher": teacher}
    if fits:
        assert parsed(training={"ance": ance}).training.ance.teacher is not None
    else:
        with pytest.raises(AnceError, match=r"depth \(\d+\) must be at least negatives.sample \(5\) and at most"):
            parsed(training={"ance": ance})


@pytest.mark.parametrize(
    ("negatives", "depth", "fits"),
    [
        ({"sampling": "top", "momentum": 0.2}, 10, False),
        ({"sampling": "top", "lookahead": 0.2}, 10, False),
        ({"sampling": "top", "momentum": 0.2}, 5, True),
        ({"sampling": "top", "momentum": 0.2}, None, True),
        ({"sampling": "uniform", "momentum": 0.2}, 10, True),
        ({"sampling": "top"}, 10, True),
    ],
)
def test_momentum_and_lookahead_negatives_do_not_vanish_when_the_highest_ranked_are_kept(
    negatives: dict[str, object], depth: int | None, fits: bool
) -> None:
    teacher = {"cross_encoder": "folder", "denoise_margin": 1.0, "depth": depth}
    ance = {"steps": 60, "learning_rate": 1e-3, "negatives": "ance", "teacher": teacher}
    if fits:
        assert parsed(training={"ance": ance}, negatives=negatives).training.ance.teacher is not None
    else:
        with pytest.raises(AnceError, match="keeps the highest ranked, and none of momentum and lookahead"):
            parsed(training={"ance": ance}, negatives=negatives)


@pytest.mark.parametrize(
    ("stages", "drawn", "fits"),
    [
        ({"ance": {"negatives": "ance"}}, 5, True),
        ({"ance": {"negatives": "ance"}}, 6, False),
        ({"warmup": {"negatives": "given"}, "ance": {"negatives": "random"}}, 6, False),
        ({"warmup": {"negatives": "bm25", "steps": 0}, "ance": {"negatives": "random"}}, 6, True),
        ({"warmup": {"negatives": "random"}, "ance": {"negatives": "ance+random"}}, 10, True),
        ({"warmup": {"negatives": "random"}, "ance": {"negatives": "ance+random"}}, 11, False),
        ({"warmup": {"negatives": "random"}, "ance": {"negatives": "adore"}}, 20, True),
    ],
)
def test_a_query_draws_no_more_negatives_than_are_sampled_for_it(
    stages: dict[str, dict[str, object]], drawn: int, fits: bool
) -> None:
    complete = {name: {"steps": 60, "learning_rate": 1e-3} | stage for name, stage in stages.items()}
    if fits:
        assert parsed(training={"negatives_per_query": drawn, **complete}).training.negatives_per_query == drawn
    else:
        with pytest.raises(AnceError, match=rf"negatives_per_query \({drawn}\) draws 6 of negatives.sample \(5\)"):
            parsed(training={"negatives_per_query": drawn, **complete})


def test_negatives_that_stay_have_no_version_before_to_draw_from() -> None:
    ance = {"steps": 60, "learning_rate": 1e-3, "negatives": "ance"}
    with pytest.raises(
        AnceError, match=r"draws from the version before, and with training\.refresh: static there is none"
    ):
        parsed(training={"ance": ance, "refresh": "static"}, negatives={"momentum": 0.2})
    assert parsed(training={"ance": ance, "refresh": "static"}, negatives={"lookahead": 0.2}).negatives.lookahead


BM25 = {"steps": 60, "learning_rate": 1e-3, "negatives": "bm25"}


@pytest.mark.parametrize("stage", ["bm25", "given", "random", "bm25+random", "in_batch"])
@pytest.mark.parametrize(
    "setting",
    [{"relative_margin": 0.0}, {"absolute_margin": 1.0}, {"sampling": "simans"}, {"momentum": 0.2}, {"lookahead": 0.2}],
    ids=str,
)
def test_what_acts_on_the_ranking_of_an_index_is_refused_where_no_index_is_asked(
    stage: str, setting: dict[str, object]
) -> None:
    ance = BM25 | {"negatives": stage, "loss": "in_batch"}
    (key,) = setting
    found = rf"negatives\.{key} would change nothing: .*ance\.negatives: {re.escape(stage)}: go without"
    with pytest.raises(AnceError, match=found):
        parsed(training={"ance": ance}, negatives=setting)
    ance["negatives"] = "ance" if stage == "in_batch" else f"{stage}+ance"
    assert parsed(training={"ance": ance}, negatives=setting).negatives.of_an_index == (key,)


def test_every_setting_without_effect_is_named() -> None:
    with pytest.raises(AnceError, match=r"negatives\.sampling and negatives\.momentum would change nothing"):
        parsed(training={"ance": BM25}, negatives={"sampling": "simans", "momentum": 0.2})


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        (ADORE, {"relative_margin": 0.1, "absolute_margin": 1.0, "sampling": "simans"}),
        (BM25, {"candidates": 8, "sample": 4, "sampling": "top", "exclude_answers": True}),
        (BM25 | {"negatives": "random"}, {"exclude_answers": True}),  # of BM25's that a reranker is trained on
        (BM25 | {"steps": 0}, {"relative_margin": 0.1, "momentum": 0.2}),  # as `ance warmup` has it
    ],
)
def test_what_may_act_on_other_negatives_or_waits_for_a_stage_is_accepted(
    stage: dict[str, object], settings: dict[str, object]
) -> None:
    negatives = parsed(training={"ance": stage}, negatives=settings).negatives
    assert negatives.model_dump(include=set(settings)) == settings
