"""The gradient of every instance of a batch from one backward pass.

The gradient of a layer is a sum over the places where it was applied: for y = W x it is the sum of (dl/dy) x^T over all
tokens of all texts (Goodfellow 2015). Summing over the tokens of one instance only gives that instance's gradient, from
what the backward pass of the whole batch computes anyway. At no time is more than one layer's gradients kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

KINDS = (nn.Linear, nn.Embedding, nn.LayerNorm)
"""Layers whose gradient is known here. Nearly all text encoders consist of them."""


class UnknownLayer(Exception):
    """A layer of another kind has parameters, or a layer is used twice."""


class GradientSamples:
    """Squared gradient norms of the instances of one batch, summed over all layers.

    Args:
        model: anything made of `KINDS`. Every layer that is used is used once in a forward pass.
        instances: number n of instances; the texts of one lie next to each other in the batch.
        texts: rows of the batch, a multiple of n.

    Attributes:
        squared: float32 [n], filled by the backward pass of the sum of the instances' losses.
    """

    def __init__(self, model: nn.Module, instances: int, texts: int) -> None:
        self._layers = _layers(model)
        self._instances = instances
        self._texts = texts
        self._used: set[nn.Module] = set()
        self.squared = torch.zeros(instances, device=next(model.parameters()).device)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For the length of one forward and backward pass."""
        with ExitStack() as hooks:
            for layer in self._layers:
                if isinstance(layer, nn.Embedding):
                    _until_exit(hooks, layer.register_forward_pre_hook(self._spread))
                _until_exit(hooks, layer.register_forward_hook(self._remember))
            yield
        for layer in self._layers:
            if layer not in self._used and any(weight.grad is not None for weight in layer.parameters()):
                raise UnknownLayer(f"{type(layer).__name__}: its weights are used outside of its forward pass")

    def _spread(self, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Positions are looked up once for all texts: look them up for each, to tell the texts apart."""
        (ids,) = inputs
        return (ids.expand(self._texts, -1) if ids.shape[0] == 1 else ids,)

    def _remember(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if layer in self._used:
            raise UnknownLayer(f"{type(layer).__name__}: it is used twice")
        self._used.add(layer)
        given = inputs[0].detach()
        output.register_hook(lambda gradient: self._add(layer, given, gradient))  # type: ignore[no-untyped-call]

    def _add(self, layer: nn.Module, given: Tensor, gradient: Tensor) -> None:
        n = self._instances
        gradient = gradient.detach().float().reshape(n, -1, gradient.shape[-1])  # (instances, tokens, out)
        match layer:
            case nn.Linear():
                given = given.float().reshape(n, -1, given.shape[-1])  # (instances, tokens, in)
                self.squared += torch.bmm(gradient.mT, given).square().sum((1, 2))
                if layer.bias is not None:
                    self.squared += gradient.sum(1).square().sum(1)
            case nn.LayerNorm():
                normed = F.layer_norm(given.float(), layer.normalized_shape, eps=layer.eps)
                self.squared += (gradient * normed.reshape(gradient.shape)).sum(1).square().sum(1)
                if layer.bias is not None:
                    self.squared += gradient.sum(1).square().sum(1)
            case nn.Embedding():
                self.squared += _embedding(layer, given.reshape(n, -1), gradient)


def _embedding(layer: nn.Embedding, ids: Tensor, gradient: Tensor) -> Tensor:
    """float32 [n] from ids [n, tokens] and gradients [n, tokens, dim]: a row's gradient is summed over its uses."""
    instance = torch.arange(len(ids), device=ids.device).unsqueeze(1)
    cells, cell = torch.unique(instance * layer.num_embeddings + ids, return_inverse=True)
    rows = gradient.new_zeros(len(cells), gradient.shape[-1]).index_add_(0, cell.flatten(), gradient.flatten(0, 1))
    if layer.padding_idx is not None:
        rows[cells % layer.num_embeddings == layer.padding_idx] = 0  # torch gives this row no gradient
    return gradient.new_zeros(len(ids)).index_add_(0, cells // layer.num_embeddings, rows.square().sum(1))


def _layers(model: nn.Module) -> list[nn.Module]:
    layers = [layer for layer in model.modules() if next(layer.parameters(recurse=False), None) is not None]
    owned = [weight for layer in layers for weight in layer.parameters(recurse=False)]
    if len(owned) != len(set(owned)):
        raise UnknownLayer("two layers share a parameter")
    for layer in layers:
        if type(layer) not in KINDS:
            raise UnknownLayer(f"{type(layer).__name__} has parameters")
        if not all(weight.requires_grad for weight in layer.parameters(recurse=False)):
            raise UnknownLayer(f"{type(layer).__name__} is frozen")
    return layers


def _until_exit(hooks: ExitStack, handle: RemovableHandle) -> None:
    hooks.callback(handle.remove)
