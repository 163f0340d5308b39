"""Settings of training that do not fit together are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ance.training.config import StageConfig, TrainingConfig

WARMUP = {"steps": 20, "learning_rate": 1e-3, "negatives": "bm25"}
ANCE = {"steps": 60, "learning_rate": 1e-3, "negatives": "ance"}


def training(**settings: object) -> TrainingConfig:
    return TrainingConfig.model_validate({"warmup": WARMUP, "ance": ANCE, "checkpoint_steps": 5, **settings})


@pytest.mark.parametrize("loss", ["in_batch", "hardest_in_batch"])
def test_negatives_of_the_batch_go_with_a_loss_over_the_batch(loss: str) -> None:
    settings = {"steps": 1, "learning_rate": 1e-3, "negatives": "in_batch"}
    assert StageConfig.model_validate(settings | {"loss": loss}).loss == loss
    for of_pairs in ("pairwise", "lambda_rank"):
        with pytest.raises(ValidationError, match=f"draws none for the loss {of_pairs}"):
            StageConfig.model_validate(settings | {"loss": of_pairs})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint_steps": "5:10"}, "checkpoint_steps\n.*must rise from 0"),
        ({"checkpoint_steps": "0:5,40:10", "max_async_gap": 9}, r"max_async_gap \(9\) must be 0 or at least 10"),
        ({"checkpoint_steps": "0:5,42:10", "max_async_gap": 10}, r"must be 0 or at least 12, the most steps between"),
        ({"synchronous": True, "max_async_gap": 10}, "leave max_async_gap at 0"),
        ({"refresh": "static", "synchronous": True}, "refresh: static goes with neither"),
        ({"refresh": "static", "max_async_gap": 10}, "refresh: static goes with neither"),
        ({"warmup": WARMUP | {"negatives": "ance"}}, "no index before the warm-up has ended"),
        ({"warmup": WARMUP | {"negatives": "ance+random"}}, "no index before the warm-up has ended"),
        ({"warmup": WARMUP | {"negatives": "adore"}}, "no index before the warm-up has ended"),
        ({"ance": ANCE | {"negatives": "adore"}, "synchronous": True}, "adore are never old"),
        ({"ance": ANCE | {"negatives": "bm25+random"}, "synchronous": True}, r"negatives: bm25\+random come from none"),
        ({"ance": ANCE | {"negatives": "bm25"}, "early_stopping": {}}, "makes none while it trains"),
        ({"refresh": "static", "early_stopping": {"patience": 2}}, "makes none while it trains"),
    ],
)
def test_refreshes_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        training(**settings)


def test_negatives_of_no_checkpoint_keep_any_bound_on_their_age_and_a_stage_without_steps_waits_for_none() -> None:
    lists = ANCE | {"negatives": "bm25"}
    assert training(ance=lists, max_async_gap=10).max_async_gap == 10
    assert training(ance=lists | {"steps": 0}, synchronous=True).synchronous


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr_warmup_steps": 61}, r"lr_warmup_steps \(61\) must be at most steps \(60\)"),
        ({"lr_decay_steps": 59}, r"lr_decay_steps \(59\) must be at least steps \(60\)"),
        ({"lr_decay_steps": 60, "lr_schedule": "constant"}, "never decays"),
    ],
)
def test_a_schedule_that_contradicts_itself_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate(ANCE | settings)


def test_a_stage_that_is_left_out_may_keep_its_rise_of_the_learning_rate() -> None:
    assert StageConfig.model_validate(ANCE | {"steps": 0, "lr_warmup_steps": 10}).steps == 0
    assert StageConfig.model_validate(ANCE | {"lr_warmup_steps": 60}).lr_warmup_steps == 60


def test_a_batch_of_one_query_has_no_negatives_of_its_own() -> None:
    alone = {"negatives": "in_batch", "loss": "in_batch"}
    for stages in ({"warmup": WARMUP | alone}, {"ance": ANCE | alone}):
        with pytest.raises(ValidationError, match=r"batch_size \(1\) leaves negatives: in_batch none"):
            training(batch_size=1, **stages)
        assert training(batch_size=2, **stages).needs_batch
    assert training(batch_size=1, warmup=WARMUP | alone | {"steps": 0}).batch_size == 1
    assert training(batch_size=1, ance=ANCE | {"loss": "in_batch"}).batch_size == 1, "it draws one besides"


@pytest.mark.parametrize(
    ("negatives", "mined", "retrieved"),
    [
        ("bm25+random", False, False),
        ("given+random", False, False),
        ("ance+random", True, True),
        ("random+bm25+ance", True, True),
        ("ance", True, True),
        ("adore", False, True),
    ],
)
def test_list_like_negatives_can_be_mixed_and_ances_are_mined_then_too(
    negatives: str, mined: bool, retrieved: bool
) -> None:
    stage = StageConfig.model_validate(ANCE | {"negatives": negatives})
    assert stage.sources == tuple(negatives.split("+"))
    assert (stage.mines, stage.retrieves) == (mined, retrieved)


@pytest.mark.parametrize(
    "negatives", ["bm25s", "bm25+", "", "+", "ance+in_batch", "adore+random", "ance+ance", "bm25 + random"]
)
def test_what_is_no_mixture_is_refused_with_the_names_of_those_that_are(negatives: str) -> None:
    known = (
        r"one of bm25, given, random, ance, in_batch, adore, or several of bm25, given, random, ance with \+ between"
    )
    with pytest.raises(ValidationError, match=known):
        StageConfig.model_validate(ANCE | {"negatives": negatives})


TEACHER = {"cross_encoder": "folder", "denoise_margin": 3.0}


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"loss": "margin_mse"}, "and there are none: set teacher"),
        ({"teacher": TEACHER, "negatives": "bm25"}, "not negatives: bm25: set negatives: ance"),
        ({"teacher": TEACHER, "negatives": "adore"}, "not negatives: adore: set negatives: ance"),
        ({"teacher": TEACHER, "negatives": "ance+random", "loss": "margin_mse"}, "these are ance's alone"),
        ({"teacher": {"cross_encoder": "folder"}}, "nothing would use its scores"),
        ({"teacher": {"denoise_margin": 3.0}}, "teacher.cross_encoder\n.*Field required"),
        ({"teacher": TEACHER | {"denoise_margin": -1}}, "greater than or equal to 0"),
    ],
)
def test_a_teacher_that_nobody_hears_or_that_is_missing_is_refused(stage: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate(ANCE | stage)


@pytest.mark.parametrize("loss", ["pairwise", "hardest_in_batch", "lambda_rank"])
def test_a_lexical_teacher_wants_a_loss_over_all_passages_of_the_batch(loss: str) -> None:
    with pytest.raises(ValidationError, match=f"loss: {loss} does not take them all: set loss: in_batch"):
        StageConfig.model_validate(ANCE | {"loss": loss, "lexical_teacher": {}})
    taught = StageConfig.model_validate(ANCE | {"loss": "in_batch", "lexical_teacher": {"weight": 0.5}})
    assert taught.lexical_teacher is not None and taught.lexical_teacher.scale == 0.3


def test_a_teacher_denoises_for_any_loss_and_may_be_learnt_from() -> None:
    for loss in ("pairwise", "in_batch", "margin_mse"):
        assert StageConfig.model_validate(ANCE | {"loss": loss, "teacher": TEACHER}).teacher is not None
    assert StageConfig.model_validate(ANCE | {"negatives": "ance+random", "teacher": TEACHER}).teacher is not None
    alone = ANCE | {"loss": "margin_mse", "teacher": {"cross_encoder": "reranker:other"}}
    assert StageConfig.model_validate(alone).teacher is not None


def test_by_default_each_newer_checkpoint_from_the_end_of_the_warm_up_on_may_be_encoded_with() -> None:
    config = training()
    assert [config.next_refresh_step(published) for published in (-1, 5, 20, 25)] == [20, 20, 21, 26]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0, 1, 20, 21, 26]),
        ({"refresh": "static"}, [0, 1, 20, 80, 80]),
        ({"synchronous": True, "checkpoint_steps": 15}, [0, 1, 20, 30, 30]),
        ({"ance": ANCE | {"negatives": "bm25"}}, [0, 1, 20, 21, 26]),
    ],
)
def test_refreshes_from_the_start_come_with_every_newer_checkpoint_of_the_warm_up(
    settings: dict[str, object], expected: list[int]
) -> None:
    config = training(refresh_from="start", **settings)
    assert [config.next_refresh_step(published) for published in (-1, 0, 19, 20, 25)] == expected


def test_negatives_are_mined_from_the_end_of_the_warm_up_on_if_they_are_trained_on() -> None:
    config = training(refresh_from="start")
    assert [config.mines_with(step) for step in (0, 19, 20, 80)] == [False, False, True, True]
    assert not training(ance=ANCE | {"negatives": "random"}).mines_with(80)


def test_baselines_can_end_early_where_their_checkpoints_are_measured() -> None:
    baseline = training(ance=ANCE | {"negatives": "bm25"}, refresh_from="start", early_stopping={"patience": 2})
    assert baseline.refreshes_beside(baseline.ance)
    with pytest.raises(ValidationError, match="set refresh_from: start"):
        training(ance=ANCE | {"negatives": "bm25"}, early_stopping={"patience": 2})


def test_static_negatives_are_mined_once_and_the_last_checkpoint_is_indexed() -> None:
    config = training(refresh="static")
    assert [config.next_refresh_step(published) for published in (-1, 20, 80)] == [20, 80, 80]


def test_synchronous_training_refreshes_with_what_is_due_and_at_the_end() -> None:
    config = training(checkpoint_steps="0:5,40:15", synchronous=True)
    refreshes = [config.next_refresh_step(published) for published in (-1, 15, 20, 23, 25, 40, 55, 70)]
    assert refreshes == [20, 20, 25, 25, 30, 55, 70, 80]


def test_how_old_negatives_may_be_follows_from_the_mode() -> None:
    assert {training().oldest_negatives(step) for step in (20, 79)} == {20}
    assert [training(max_async_gap=10).oldest_negatives(step) for step in (20, 29, 31)] == [20, 20, 21]
    schedule = training(checkpoint_steps="0:5,40:10", synchronous=True)
    assert [schedule.oldest_negatives(step) for step in (20, 24, 25, 40, 49, 50)] == [20, 20, 25, 40, 40, 50]


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(1, 90), st.integers(1, 30), max_size=4),
    st.integers(1, 30),
    st.integers(0, 40),
    st.integers(1, 60),
    st.integers(1, 90),
)
def test_no_step_needs_newer_negatives_than_the_newest_checkpoint_can_give(
    later: dict[int, int], first: int, warmup: int, steps: int, gap: int
) -> None:
    schedule = ",".join(f"{begin}:{interval}" for begin, interval in sorted({0: first, **later}.items()))
    stages = {"warmup": WARMUP | {"steps": warmup}, "ance": ANCE | {"steps": steps}}
    try:
        config = training(**stages, checkpoint_steps=schedule, max_async_gap=gap)
    except ValidationError as error:
        assert "max_async_gap" in str(error) and gap < longest_pause(schedule, stages)
        return
    for step in range(warmup, warmup + steps):
        newest = max(warmup, config.checkpoints.last_due(step))
        assert config.oldest_negatives(step) <= newest


def longest_pause(schedule: str, stages: dict[str, object]) -> int:
    """The most steps between two checkpoints of the second stage."""
    config = training(**stages, checkpoint_steps=schedule)
    return config.checkpoints.longest(config.warmup.steps, config.total_steps)


def test_adore_keeps_the_passages_of_the_checkpoint_that_begins_its_stage() -> None:
    adore = training(ance=ANCE | {"negatives": "adore"})
    assert [adore.passages_step(step) for step in (20, 25, 80)] == [20, 20, 20]
    assert adore.first_refresh_step == 20
    assert [training().passages_step(step) for step in (20, 25, 80)] == [20, 25, 80]
