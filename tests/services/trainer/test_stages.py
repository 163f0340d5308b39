from ance.training.config import TrainingConfig
from services.trainer.stages import stages


def test_steps_are_numbered_through_both_stages() -> None:
    config = TrainingConfig.model_validate(
        {
            "warmup": {"steps": 20, "learning_rate": 0.1, "negatives": "bm25"},
            "ance": {"steps": 60, "learning_rate": 0.2, "negatives": "ance"},
        }
    )
    warmup, ance = stages(config)
    assert (warmup.name, warmup.first, warmup.last, warmup.config) == ("warmup", 0, 20, config.warmup)
    assert (ance.name, ance.first, ance.last, ance.config) == ("ance", 20, 80, config.ance)
