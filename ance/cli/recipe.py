"""What decides how a data set comes out, kept in its manifest: to tell the same data set from another one."""

from typing import TYPE_CHECKING, Any

from ance.errors import AnceError

if TYPE_CHECKING:
    from ance.data.tokenizer import Tokenizer
    from ance.runtime.store import Store

RECIPE = "recipe"
"""Key of the manifest's stats."""


def recipe(spec: str, tokenizer: "Tokenizer", max_tokens: int, *, skip_invalid: bool) -> dict[str, Any]:
    """Source, tokenizer and choices. The source is named as the user did: what is in it is not compared."""
    return {
        "dataset": spec,
        "tokenizer_sha256": tokenizer.sha256,
        "max_tokens": max_tokens,
        "skip_invalid": skip_invalid,
    }


def has_same(store: "Store", prefix: str, wanted: dict[str, Any]) -> bool:
    """Whether a data set made by the wanted recipe is published in a folder of the store.

    Raises:
        AnceError: one is published there that was made in another way; names what differs.
    """
    from ance.runtime.artifacts import ArtifactNotFound, read_manifest
    from ance.runtime.layout import manifest_of

    try:
        present = read_manifest(store, manifest_of(prefix)).stats.get(RECIPE, {})
    except ArtifactNotFound:
        return False
    for key, value in wanted.items():
        if present.get(key) != value:
            raise AnceError(
                f"{store.url}/{prefix} exists already, made with {key} {present.get(key, 'unknown')} "
                f"instead of {value}; choose another --name, or delete it first"
            )
    return True
