"""Settings of training that do not fit together are refused."""

import pytest
from pydantic import ValidationError

from ance.training.config import StageConfig


@pytest.mark.parametrize("loss", ["in_batch", "hardest_in_batch"])
def test_negatives_of_the_batch_go_with_a_loss_over_the_batch(loss: str) -> None:
    settings = {"steps": 1, "learning_rate": 1e-3, "negatives": "in_batch"}
    assert StageConfig.model_validate(settings | {"loss": loss}).loss == loss
    with pytest.raises(ValidationError, match="draws none for the loss pairwise"):
        StageConfig.model_validate(settings)
