import pytest

from ance.data.open_source import open_source
from ance.errors import AnceError
from tests.data.conftest import WriteBeir


def test_a_source_is_named_by_its_kind_and_its_place(write_beir: WriteBeir) -> None:
    assert open_source(f"beir:{write_beir()}").name == "Pets-Co"
    assert open_source("ir_datasets:beir/scifact").name == "beir-scifact"


def test_options_limit_the_python_environment() -> None:
    source = open_source("python-env:passages=20,packages=pluggy+click")
    assert source.name == "python-env"
    assert len(list(source.passages())) == 20
    assert {name.split()[0] for name in source.provenance["packages"]} == {"pluggy", "click"}


@pytest.mark.parametrize("option", ["passages=0", "passages=many", "packages=", "splits=3", "passages"])
def test_an_unknown_option_or_value_is_an_error_that_names_it(option: str) -> None:
    with pytest.raises(AnceError, match=f"option '{option}' is not passages=NUMBER or packages=NAME"):
        open_source(f"python-env:{option}")


@pytest.mark.parametrize("spec", ["", "beir", "beir:", "ir_datasets:", "csv:here", "python"])
def test_an_unknown_kind_is_an_error_that_lists_the_kinds(spec: str) -> None:
    with pytest.raises(AnceError, match=f"data set '{spec}': unknown, expected python-env.*beir:FOLDER"):
        open_source(spec)


def test_parts_of_a_family_and_their_candidates_can_be_chosen() -> None:
    chosen = "train=train/judged,dev=dev/small,trec-dl-2019=trec-dl-2019/judged,candidates=dev+trec-dl-2019"
    source = open_source(f"ir_datasets:msmarco-passage,{chosen}")
    assert source.splits() == ("train", "dev", "trec-dl-2019")
    assert source.provenance["splits"]["dev"] == ("msmarco-passage/dev/small",)
    assert source.provenance["candidates"] == ["dev", "trec-dl-2019"]


@pytest.mark.parametrize("option", ["dev", "dev=", "a/b=dev", "dev=x++y"])
def test_a_choice_of_parts_that_is_none_is_named(option: str) -> None:
    with pytest.raises(AnceError, match=r"is not SPLIT=PART, SPLIT=PART\+PART or candidates=SPLIT"):
        open_source(f"ir_datasets:msmarco-passage,{option}")


@pytest.mark.parametrize("kind", ["msmarco", "dpr"])
def test_a_folder_of_original_files_that_is_not_there_is_named(kind: str) -> None:
    with pytest.raises(AnceError, match=r"/nowhere: no such folder; expected"):
        open_source(f"{kind}:/nowhere")
    with pytest.raises(AnceError, match=f"data set '{kind}:': unknown"):
        open_source(f"{kind}:")
