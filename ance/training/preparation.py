"""What a model needs before its first training step: dropout as configured, attention that is fast to train."""

from typing import TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel

from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.model.compiling import compile_in_place, require_compiler
from ance.model.config import CompileBackend
from ance.model.cross_encoder import CrossEncoder

Model = TypeVar("Model", BiEncoder, CrossEncoder)


def prepare_for_training(
    model: Model,
    dropout: float | None,
    device: str | torch.device,
    *,
    checkpointing: bool = False,
    backend: CompileBackend | None = None,
) -> Model:
    """Move a model to its device and set it up for training, in place.

    Args:
        model: is returned for convenience. What is saved of it does not change.
        dropout: probability for every dropout layer (None: as the encoder's own configuration says).
        device: where to train.
        checkpointing: keep the input of each layer only, and compute the rest of its activations again on the way
            back (Chen et al. 2016): much less memory, about a third more time, the same gradients.
        backend: compile the transformer with torch.compile (None: not).

    Raises:
        AnceError: the encoder has no checkpointing, or there is no compiler that works.
    """
    place = torch.device(device)
    if dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
    if place.type == "cpu":
        # The backward pass of fused attention on a CPU takes as long as the rest of the step (43 % of a step of
        # two MiniLM layers, 32 queries and 64 passages of 72 tokens in bfloat16, by torch's profiler).
        for backbone in _backbones(model):
            backbone.set_attn_implementation("eager")
    if checkpointing:
        try:
            # Not the reentrant kind: it needs an input with a gradient, and token ids have none.
            for backbone in _backbones(model):
                backbone.activation_checkpointing_enable({"use_reentrant": False})
        except ValueError as error:
            raise AnceError(f"training.gradient_checkpointing: {error} Set it to false") from error
    if backend is not None:
        require_compiler(backend, place, "training.compile")
        compile_transformers(model, backend)
    return model.to(place)


def compile_transformers(model: BiEncoder | CrossEncoder, backend: CompileBackend) -> None:
    """Compile the transformers inside a model, in place: at their first step."""
    compile_in_place(_backbones(model), backend)


def _backbones(model: BiEncoder | CrossEncoder) -> list[PreTrainedModel]:
    """The transformers inside a model: two, where queries have a tower of their own."""
    towers = {model, model.queries} if isinstance(model, BiEncoder) else {model}
    return [tower.backbone for tower in towers]
