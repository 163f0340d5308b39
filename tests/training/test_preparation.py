import pytest
import torch
from torch._dynamo.utils import counters

from ance.errors import AnceError
from ance.training.optimisers import build_optimiser
from ance.training.preparation import compile_transformers, prepare_for_training
from ance.training.query_tower import train_queries_only
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


@pytest.fixture
def compiled_step(new_model, texts, configured, stream, negatives):
    """Loss and gradients of a step without dropout, by name."""

    def make(backend, **settings):
        config = configured(max_grad_norm=0.0, compile=backend, **settings)
        model = new_model()
        del model.backbone.encoder.layer[1:]  # to trace a layer takes a second
        checkpointing = config.gradient_checkpointing
        prepare_for_training(model, 0.0, "cpu", checkpointing=checkpointing, backend=backend)
        step = TrainingStep(model, build_optimiser(model, config, 1e-3), texts, config)
        loss = step.run(0, stream.batch(0, negatives), loss="in_batch", learning_rate=0.0).loss
        return loss, {name: weight.grad for name, weight in model.named_parameters()}

    return make


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "settings",
    [{"dtype": "bfloat16"}, {"gradient_checkpointing": True, "grad_cache_chunk": 3}],
    ids=["bfloat16", "checkpointing"],
)
def test_a_compiled_step_has_the_loss_and_the_gradients_of_one_that_is_not(compiled_step, settings):
    torch._dynamo.reset()
    counters.clear()
    loss, expected = compiled_step(None, **settings)
    assert not counters["stats"]["unique_graphs"]
    again, found = compiled_step("eager", **settings)
    assert counters["stats"]["unique_graphs"] > 1, "one is the trial of the compiler"
    assert again == pytest.approx(loss, abs=1e-6)
    assert found.keys() == expected.keys(), "compiling renames no weight"
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


def test_a_tower_that_was_copied_from_a_compiled_model_is_compiled_too(new_model):
    model = new_model()
    del model.backbone.encoder.layer[1:]
    prepare_for_training(model, 0.0, "cpu", backend="eager")
    train_queries_only(model)
    compile_transformers(model, "eager")
    counters.clear()
    ids = torch.ones(2, 3, dtype=torch.int64)
    torch.testing.assert_close(model.queries(ids, ids), model(ids, ids))
    assert model.queries.backbone is not model.backbone
    assert not [name for name in model.state_dict() if "_orig_mod" in name]
