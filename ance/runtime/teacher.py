"""The teacher of a run: a cross-encoder that scores its negatives, copied into the run before it begins."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from ance.errors import AnceError
from ance.negatives.config import TeacherConfig
from ance.runtime.artifacts import fetch, publish, published
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.layout import RunLayout
from ance.runtime.settings import DEFAULT_CACHE
from ance.runtime.store import Store

KEY = "training.ance.teacher.cross_encoder"
RERANKER = "reranker:"
"""What a reference to the reranker of a run in the same store begins with."""


def provide_teacher(store: Store, layout: RunLayout, teacher: TeacherConfig, cache: Path = DEFAULT_CACHE) -> None:
    """Copy the cross-encoder that the settings name into the run, where every inferencer finds it.

    Doing it again changes nothing. A run keeps its teacher: scores of two are not to be compared.

    Raises:
        AnceError: there is no such cross-encoder, it cannot be a teacher, or the run has another; says what to do.
    """
    from ance.model.cross_encoder import CrossEncoder  # takes seconds to import

    folder, parents = _find(store, teacher.cross_encoder, cache)
    try:
        model = CrossEncoder.load(folder, max_tokens=teacher.max_tokens)
        model.tokenizer.require_fit(model.backbone.config.vocab_size)
    except AnceError as error:
        raise AnceError(f"{KEY}: {error}; name a cross-encoder with one logit, or train one") from error
    with TemporaryDirectory() as staging:
        model.save(Path(staging) / "teacher")
        publish(
            store,
            layout.teacher,
            Path(staging) / "teacher",
            kind=Kind.RERANKER,
            run_id=layout.run,
            parents=parents,
            stats={"cross_encoder": teacher.cross_encoder, "max_tokens": model.tokenizer.max_tokens},
        )


def teacher_of(store: Store, layout: RunLayout) -> ArtifactRef:
    """The run's teacher.

    Raises:
        AnceError: it has none.
    """
    ref = published(store, layout.teacher)
    if ref is None:
        raise AnceError(
            f"{store.url}/{layout.teacher}: no teacher there, though the run's configuration names one:"
            " create the run with `ance up` or `ance runs create`, which put it there"
        )
    return ref


def _find(store: Store, name: str, cache: Path) -> tuple[Path, dict[str, str]]:
    """The folder of a cross-encoder, and the parents of its copy."""
    from ance.model.backbone import resolve

    if not name.startswith(RERANKER):
        return resolve(name, KEY), {}
    run = name.removeprefix(RERANKER)
    ref = store.read_pointer(RunLayout(run).pointer("reranker"))
    if ref is None:
        raise AnceError(
            f"{KEY}: run '{run}' has no reranker in {store.url}; make it with"
            f" `ance reranker train --store {store.url} --run {run}`"
        )
    return fetch(store, ref, cache), {"reranker": ref.manifest_sha256}
