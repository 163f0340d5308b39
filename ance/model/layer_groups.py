"""A model's parameters by depth, for gradient norms by layer group (paper, figure 4)."""

from __future__ import annotations

from torch import nn

from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder


def layer_groups(model: BiEncoder) -> dict[str, list[nn.Parameter]]:
    """Parameters in `embeddings`, `bottom`, `middle`, `top` (thirds of the layers) and `head` (if there is one).

    Every parameter is in exactly one group. Two layers are bottom and top, a single one is top: empty groups are
    left out. What the architecture registers after its layers (a final norm) belongs to the top. Of two towers, each
    has its own groups: `query.top` and `passage.top`.

    Raises:
        AnceError: the architecture keeps its layers in no list.
    """
    if model.query_tower is None:
        return _groups(model)
    towers = {"query": _groups(model.query_tower), "passage": _groups(model)}
    return {f"{tower}.{name}": group for tower, groups in towers.items() for name, group in groups.items()}


def _groups(model: BiEncoder) -> dict[str, list[nn.Parameter]]:
    lists = {name: module for name, module in model.backbone.named_modules() if isinstance(module, nn.ModuleList)}
    if not lists:
        raise AnceError(f"{type(model.backbone).__name__}: no list of layers found, cannot group its gradients")
    path, layers = max(lists.items(), key=lambda item: len(item[1]))
    groups: dict[str, list[nn.Parameter]] = {"embeddings": [], "bottom": [], "middle": [], "top": [], "head": []}
    before = "embeddings"
    for name, parameter in model.backbone.named_parameters():
        if name.startswith(f"{path}."):
            layer = int(name.removeprefix(f"{path}.").split(".")[0])
            groups[_third(layer, len(layers))].append(parameter)
            before = "top"
        else:
            groups[before].append(parameter)
    if model.head is not None:
        groups["head"] = list(model.head.parameters())
    return {name: parameters for name, parameters in groups.items() if parameters}


def _third(layer: int, layers: int) -> str:
    if layers < 3:
        return "top" if layer == layers - 1 else "bottom"
    return ("bottom", "middle", "top")[layer * 3 // layers]
