"""Where everything lives in the store."""

import pytest

from ance.errors import AnceError
from ance.runtime.contracts import Kind, Part
from ance.runtime.layout import RunLayout, manifest_of

LAYOUT = RunLayout("demo")


def test_keys_are_those_of_the_contract() -> None:
    assert LAYOUT.run_yaml == "runs/demo/run.yaml"
    assert LAYOUT.checkpoint(300) == "runs/demo/checkpoints/300"
    assert LAYOUT.embeddings(300) == "runs/demo/embeddings/300"
    assert LAYOUT.shard(300, Part.PASSAGES, 7) == "runs/demo/embeddings/300/passages/7.npy"
    assert LAYOUT.index(300) == "runs/demo/indexes/300"
    assert LAYOUT.negatives(300) == "runs/demo/negatives/300"
    assert LAYOUT.reranker(300) == "runs/demo/reranker/300"
    assert LAYOUT.pointer("reranker") == "runs/demo/latest/reranker.json"
    assert LAYOUT.pointer("index") == "runs/demo/latest/index.json"
    assert RunLayout.dataset("python-env") == "datasets/python-env"
    assert manifest_of(LAYOUT.index(300)) == "runs/demo/indexes/300/manifest.json"


def test_a_shard_lies_in_the_folder_of_its_embeddings() -> None:
    assert LAYOUT.shard(5, Part.TRAIN_QUERIES, 0).startswith(f"{LAYOUT.embeddings(5)}/")


def test_bm25_negatives_lie_beside_the_mined_ones_under_no_step() -> None:
    folder, _, name = LAYOUT.bm25_negatives.rpartition("/")
    assert folder == LAYOUT.versions(Kind.NEGATIVES)
    assert not name.isdecimal()


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a", ".hidden", "a\n", "x" * 64])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(AnceError, match="run id"):
        RunLayout(name)
    with pytest.raises(AnceError, match="data set name"):
        RunLayout.dataset(name)
