from pathlib import Path

import numpy as np
import pytest

from ance.errors import AnceError
from ance.retrieval.index import IndexBuilder, PassageIndex

DIM = 16
FACTORIES = ["Flat", "HNSW16", "IVF8,Flat", "SQ8", "PQ4x4", "RaBitQ", "IVF8,RaBitQ", "OPQ4,IVF4,PQ4x4fs"]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((600, DIM), np.float32)


def build(
    folder: Path, vectors: np.ndarray, factory: str = "Flat", training_vectors: int = 256, **parameters: float
) -> Path:
    """Two shards, the second first."""
    builder = IndexBuilder(factory, DIM, training_vectors, parameters)
    middle = len(vectors) // 2
    builder.add(vectors[middle:], np.arange(middle, len(vectors)))
    builder.add(vectors[:middle], np.arange(middle))
    builder.finish(folder)
    return folder


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_passage_is_in_the_index_under_its_row(tmp_path: Path, vectors: np.ndarray, factory: str) -> None:
    index = PassageIndex.open(build(tmp_path, vectors, factory))

    assert index.size == 600
    assert index.dim == DIM
    assert np.load(tmp_path / "ids.npy").tolist() == [*range(300, 600), *range(300)]


def test_a_flat_index_ranks_by_inner_product(tmp_path: Path, vectors: np.ndarray) -> None:
    index = PassageIndex.open(build(tmp_path, vectors))
    queries = vectors[:20] + 1

    ids, scores = index.search(queries, 7)

    products = queries @ vectors.T
    np.testing.assert_array_equal(ids, np.argsort(-products, axis=1)[:, :7])
    np.testing.assert_allclose(scores, np.take_along_axis(products, ids, 1), rtol=1e-5)
    assert ids.dtype == np.int64
    assert scores.dtype == np.float32


def test_an_index_that_probes_every_list_is_exact(tmp_path: Path, vectors: np.ndarray) -> None:
    exact = PassageIndex.open(build(tmp_path / "flat", vectors))
    folder = build(tmp_path / "ivf", vectors, "IVF8,Flat")

    all_lists = PassageIndex.open(folder, parameters="nprobe=8").search(vectors, 10)[0]
    one_list = PassageIndex.open(folder).search(vectors, 10)[0]

    np.testing.assert_array_equal(all_lists, exact.search(vectors, 10)[0])
    assert (one_list != all_lists).any()


def found_share(exact: np.ndarray, found: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(exact.tolist(), found.tolist(), strict=True)]))


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_kind_finds_far_more_of_the_nearest_than_chance(
    tmp_path: Path, vectors: np.ndarray, factory: str
) -> None:
    parameters = {"nprobe": 4} if "IVF" in factory else {}
    index = PassageIndex.open(build(tmp_path, vectors, factory, **parameters))
    exact = np.argsort(-(vectors @ vectors.T), axis=1)[:, :10]
    share = found_share(exact, index.search(vectors, 10)[0])
    assert share > 0.3  # chance is 10 / 600
    assert share == 1 or factory != "Flat"


@pytest.mark.parametrize(
    ("factory", "few", "many"),
    [("IVF32,Flat", {"nprobe": 1}, {"nprobe": 32}), ("HNSW4", {"efSearch": 1}, {"efSearch": 400})],
)
def test_search_time_parameters_are_saved_in_the_index(
    tmp_path: Path, vectors: np.ndarray, factory: str, few: dict[str, float], many: dict[str, float]
) -> None:
    exact = np.argsort(-(vectors @ vectors.T), axis=1)[:, :10]
    little, much = (
        found_share(exact, PassageIndex.open(build(tmp_path / name, vectors, factory, **given)).search(vectors, 10)[0])
        for name, given in (("few", few), ("many", many))
    )
    assert little < much - 0.1
    name, value = next(iter(many.items()))
    opened_otherwise = PassageIndex.open(tmp_path / "few", parameters=f"{name}={value:g}")
    assert found_share(exact, opened_otherwise.search(vectors, 10)[0]) == much


def test_a_parameter_of_another_kind_of_index_is_refused_before_anything_is_built() -> None:
    with pytest.raises(AnceError, match=r"index\.parameters 'nprobe=4' of index\.factory 'HNSW16'"):
        IndexBuilder("HNSW16", DIM, 100, {"nprobe": 4})


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat"])
def test_the_builder_finds_what_the_finished_index_will(tmp_path: Path, vectors: np.ndarray, factory: str) -> None:
    builder = IndexBuilder(factory, DIM, training_vectors=1000)  # more than there are: trained when asked
    builder.add(vectors[300:], np.arange(300, 600))
    builder.add(vectors[:300], np.arange(300))
    before = builder.search(vectors[:20], 5)
    builder.finish(tmp_path)
    after = PassageIndex.open(tmp_path).search(vectors[:20], 5)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


def test_k_is_cut_to_the_size_of_the_index(tmp_path: Path, vectors: np.ndarray) -> None:
    ids, scores = PassageIndex.open(build(tmp_path, vectors[:6])).search(vectors[:3], 100)

    assert ids.shape == scores.shape == (3, 6)
    assert sorted(ids[0].tolist()) == list(range(6))


def test_places_that_an_approximate_index_cannot_fill_are_minus_one(tmp_path: Path, vectors: np.ndarray) -> None:
    ids, scores = PassageIndex.open(build(tmp_path, vectors, "IVF8,Flat")).search(vectors[:5], 600)

    assert (ids[:, 0] >= 0).all()
    assert (ids[:, -1] == -1).all()
    assert (scores[ids == -1] == -np.inf).all()


def test_an_index_of_nothing_finds_nothing(tmp_path: Path) -> None:
    builder = IndexBuilder("Flat", DIM, 10)
    builder.finish(tmp_path)

    assert PassageIndex.open(tmp_path).search(np.ones((2, DIM), np.float32), 5)[0].shape == (2, 0)


def test_the_index_is_mapped_and_survives_the_removal_of_its_files(tmp_path: Path, vectors: np.ndarray) -> None:
    index = PassageIndex.open(build(tmp_path, vectors))
    before = index.search(vectors[:5], 3)
    for file in tmp_path.iterdir():
        file.unlink()

    np.testing.assert_array_equal(index.search(vectors[:5], 3)[0], before[0])


def test_training_waits_for_enough_vectors(tmp_path: Path, vectors: np.ndarray) -> None:
    builder = IndexBuilder("IVF8,Flat", DIM, training_vectors=500)
    for start in range(0, 600, 100):
        builder.add(vectors[start : start + 100], np.arange(start, start + 100))
    builder.finish(tmp_path)

    found = PassageIndex.open(tmp_path, parameters="nprobe=8").search(vectors, 1)[0]
    assert np.load(tmp_path / "ids.npy").tolist() == list(range(600))
    assert found.shape == (600, 1)


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("Flatt", "could not parse index string Flatt"),
        ("PQ7", "should be a multiple of the number of subquantizers"),
        ("LSH", "inner-product"),
        ("IDMap,Flat", "drop the IDMap"),
    ],
)
def test_a_factory_that_cannot_work_is_named(factory: str, reason: str) -> None:
    with pytest.raises(AnceError, match=f"index.factory '{factory}'.*{reason}"):
        IndexBuilder(factory, DIM, 100)


def test_too_few_vectors_to_train_on_are_reported(tmp_path: Path, vectors: np.ndarray) -> None:
    with pytest.raises(AnceError, match=r"index\.factory 'IVF64,Flat': cannot be trained on 10 vectors"):
        build(tmp_path, vectors[:10], "IVF64,Flat")


def test_ids_must_match_vectors(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="600 vectors came with 2 ids"):
        IndexBuilder("Flat", DIM, 100).add(vectors, np.arange(2))


@pytest.mark.parametrize("file", ["index.faiss", "ids.npy"])
@pytest.mark.parametrize("size", [0, 20, -4])
def test_a_damaged_file_is_reported(tmp_path: Path, vectors: np.ndarray, file: str, size: int) -> None:
    damaged = build(tmp_path, vectors) / file
    damaged.write_bytes(damaged.read_bytes()[:size])

    with pytest.raises(AnceError, match=f"{tmp_path}: cannot read the index"):
        PassageIndex.open(tmp_path)


def test_a_missing_index_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=r"cannot read the index.*No such file"):
        PassageIndex.open(tmp_path)


def test_files_of_two_versions_are_reported(tmp_path: Path, vectors: np.ndarray) -> None:
    build(tmp_path, vectors)
    np.save(tmp_path / "ids.npy", np.arange(5))

    with pytest.raises(AnceError, match=r"holds 600 vectors, ids\.npy 5 ids"):
        PassageIndex.open(tmp_path)


def test_a_parameter_that_the_index_does_not_have_is_named(tmp_path: Path, vectors: np.ndarray) -> None:
    build(tmp_path, vectors)

    with pytest.raises(AnceError, match="index parameters 'nprobe=4'"):
        PassageIndex.open(tmp_path, parameters="nprobe=4")
