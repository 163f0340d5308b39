import pytest
import torch

from ance.errors import AnceError
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.step import TrainingStep


@pytest.fixture
def gradients(new_model, texts, configured, stream, negatives):
    """Loss and gradients of one step of the same model, and how often its layers ran."""

    def make(*, checkpointing, dropout=0.2):
        config = configured(max_grad_norm=0.0)
        model = prepare_for_training(new_model(), dropout, "cpu", checkpointing=checkpointing)
        runs = []
        model.backbone.encoder.layer[0].attention.register_forward_hook(lambda *_: runs.append(1))
        step = TrainingStep(model, build_optimiser(model, config, 1e-3), texts, config)
        loss = step.run(0, stream.batch(0, negatives), loss="in_batch", learning_rate=0.0).loss
        return loss, [weight.grad for weight in model.parameters()], len(runs)

    return make


def test_gradient_checkpointing_computes_activations_twice_and_changes_no_gradient(gradients):
    loss, expected, runs = gradients(checkpointing=False)
    again, found, twice = gradients(checkpointing=True)
    assert twice == 2 * runs
    assert again == loss
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_an_encoder_without_it_is_refused_and_the_key_is_named(new_model):
    model = new_model()
    model.backbone.supports_gradient_checkpointing = False
    with pytest.raises(AnceError, match=r"training\.gradient_checkpointing: .*Set it to false"):
        prepare_for_training(model, None, "cpu", checkpointing=True)


def test_dropout_is_that_of_the_settings_in_every_layer(new_model):
    model = prepare_for_training(new_model(), 0.35, "cpu")
    found = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert found == {0.35}
