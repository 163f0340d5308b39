"""A run is created once, and continued only with the configuration it has."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from ance.cli.create_run import create_run, resolve
from ance.cli.prepare import prepare_dataset
from ance.errors import AnceError
from ance.model.cross_encoder import CrossEncoder
from ance.runtime.artifacts import fetch, publish, read_manifest
from ance.runtime.contracts import Kind
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from ance.runtime.teacher import teacher_of
from tests.cli.conftest import Salad
from tests.system.tiny import config


@pytest.fixture
def store(salad: Salad) -> Store:
    return Store.open(salad.store)


def test_the_configuration_is_stored_verbatim(salad: Salad, store: Store) -> None:
    text = "# a comment\n" + yaml.safe_dump(config(salad.encoder, run="verbatim"))
    assert create_run(store, text, "run.yaml").run == "verbatim"
    assert store.read(RunLayout("verbatim").run_yaml).decode() == text


def test_the_same_configuration_continues_the_run_whatever_its_comments(salad: Salad, store: Store) -> None:
    text = yaml.safe_dump(config(salad.encoder, run="again"))
    first = create_run(store, text, "run.yaml")
    assert create_run(store, f"# new comment\n{text}", "run.yaml") == first
    assert store.read(RunLayout("again").run_yaml).decode() == text


def test_another_configuration_under_the_same_name_is_refused(salad: Salad, store: Store) -> None:
    create_run(store, yaml.safe_dump(config(salad.encoder, run="other")), "run.yaml")
    changed = yaml.safe_dump(config(salad.encoder, run="other", encoding={"shard_size": 7}))
    with pytest.raises(AnceError, match=r"run\.yaml: run 'other' exists .* with another configuration"):
        create_run(store, changed, "run.yaml")


def distilled(salad: Salad, run: str, cross_encoder: str) -> str:
    """A configuration with a teacher."""
    values = config(salad.encoder, run=run)
    values["training"]["ance"] |= {"loss": "margin_mse", "teacher": {"cross_encoder": cross_encoder, "max_tokens": 24}}
    return yaml.safe_dump(values)


@pytest.fixture
def cross_encoder(salad: Salad, tmp_path: Path) -> Path:
    CrossEncoder.start(str(salad.encoder), max_tokens=24).save(tmp_path / "teacher")
    return tmp_path / "teacher"


def test_a_teacher_is_copied_into_the_run_and_stays(salad: Salad, store: Store, cross_encoder: Path) -> None:
    text, layout = distilled(salad, "taught", str(cross_encoder)), RunLayout("taught")
    create_run(store, text, "run.yaml")
    copied = fetch(store, teacher_of(store, layout), cross_encoder)
    weights = (cross_encoder / "model.safetensors").read_bytes()
    assert (copied / "model.safetensors").read_bytes() == weights
    shutil.rmtree(cross_encoder)
    create_run(store, text, "run.yaml")  # goes on without the folder


def test_the_reranker_of_a_run_can_be_the_teacher_of_another(salad: Salad, store: Store, cross_encoder: Path) -> None:
    text = distilled(salad, "student", "reranker:master")
    with pytest.raises(AnceError, match=r"cross_encoder: run 'master' has no reranker in .*--run master`"):
        create_run(store, text, "run.yaml")
    assert not store.exists(RunLayout("student").run_yaml)
    master = RunLayout("master")
    ref = publish(
        store, master.reranker(5), cross_encoder, kind=Kind.RERANKER, step=5, pointer=master.pointer("reranker")
    )
    create_run(store, text, "run.yaml")
    manifest = read_manifest(store, teacher_of(store, RunLayout("student")).manifest_uri)
    assert manifest.parents == {"reranker": ref.manifest_sha256}
    assert manifest.stats == {"cross_encoder": "reranker:master", "max_tokens": 24}


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("encoder", r"cross_encoder: .*: no cross-encoder, it lacks \d weights, e\.g\. .*; name a cross-encoder"),
        ("nowhere", r"no such folder, .* correct training\.ance\.teacher\.cross_encoder"),
    ],
)
def test_what_cannot_be_a_teacher_is_refused_before_there_is_a_run(
    salad: Salad, store: Store, teacher: str, message: str
) -> None:
    with pytest.raises(AnceError, match=message):
        create_run(store, distilled(salad, "untaught", str(salad.folder / teacher)), "run.yaml")
    assert not store.exists(RunLayout("untaught").run_yaml)


def test_a_teacher_with_the_tokenizer_of_another_model_is_refused(
    salad: Salad, store: Store, cross_encoder: Path
) -> None:
    settings = json.loads((cross_encoder / "tokenizer.json").read_text())
    settings["post_processor"] = None
    (cross_encoder / "tokenizer.json").write_text(json.dumps(settings))
    plain = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    (cross_encoder / "tokenizer_config.json").write_text(json.dumps(plain))
    with pytest.raises(AnceError, match="puts nothing between the two texts of a pair"):
        create_run(store, distilled(salad, "untaught", str(cross_encoder)), "run.yaml")


def test_the_name_minilm_becomes_the_folder_that_the_services_can_open(salad: Salad) -> None:
    text = yaml.safe_dump(config(Path("minilm")))
    resolved, run = resolve(text, "run.yaml")
    assert Path(run.model.name_or_path).is_dir()
    assert yaml.safe_load(resolved)["model"]["name_or_path"] == run.model.name_or_path


def test_minilm_can_be_the_start_of_either_tower(salad: Salad) -> None:
    values = config(salad.encoder)
    values["model"] |= {"shared": False, "query_name_or_path": "minilm"}
    resolved, run = resolve(yaml.safe_dump(values), "run.yaml")
    assert run.model.name_or_path == str(salad.encoder)
    assert run.model.query_name_or_path is not None and Path(run.model.query_name_or_path).is_dir()
    assert yaml.safe_load(resolved)["model"]["query_name_or_path"] == run.model.query_name_or_path


@pytest.fixture(scope="module")
def asked(salad: Salad, tmp_path_factory: pytest.TempPathFactory) -> str:
    """`asked`, a data set whose dev queries have answers and no relevant passage; `bare` has no dev split."""
    folder = shutil.copytree(salad.beir, tmp_path_factory.mktemp("asked") / "beir")
    (folder / "qrels" / "dev.tsv").unlink()
    prepare_dataset(f"beir:{folder}", salad.store, str(salad.encoder), name="bare")
    judged = (salad.beir / "qrels" / "dev.tsv").read_text()
    (folder / "qrels" / "dev.tsv").write_text(judged.replace("\t1\n", "\t0\n"))
    answers = [{"_id": line.split()[0], "answers": ["an"]} for line in judged.splitlines()[1:]]
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))
    prepare_dataset(f"beir:{folder}", salad.store, str(salad.encoder), name="asked")
    return "asked"


def test_versions_are_compared_by_what_the_dev_split_allows(salad: Salad, store: Store, asked: str) -> None:
    def created(run: str, dataset: str, best_by: str) -> None:
        values = config(salad.encoder, run=run, dataset=dataset, evaluation={"best_by": best_by})
        values["training"]["early_stopping"] = {"patience": 2}
        create_run(store, yaml.safe_dump(values), "run.yaml")

    created("by-answers", asked, "Coverage@20")
    created("by-passages", "salad", "RR@10")
    for dataset, best_by, message in (
        (
            asked,
            "RR@10",
            r"best_by: RR@10 cannot be measured on the dev split of 'asked', only: Coverage@20, Coverage@100",
        ),
        ("salad", "Coverage@20", r"best_by: Coverage@20 cannot be measured on the dev split of 'salad', only: RR@10"),
        ("bare", "RR@10", r"early_stopping compares versions on a dev split, and dataset 'bare' has none"),
    ):
        with pytest.raises(AnceError, match=message):
            created("refused", dataset, best_by)
    assert not store.exists(RunLayout("refused").run_yaml)


def test_answers_that_negatives_are_filtered_by_have_to_be_there(salad: Salad, store: Store, asked: str) -> None:
    values = config(salad.encoder, run="filtered", dataset=asked, evaluation={"best_by": "Coverage@20"})
    values["negatives"]["exclude_answers"] = True
    with pytest.raises(AnceError, match="exclude_answers needs answers, and the train split of 'asked' has none"):
        create_run(store, yaml.safe_dump(values), "run.yaml")
