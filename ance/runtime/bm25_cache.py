"""BM25 over the passages of a run, built once on a machine and mapped by whoever needs it."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from ance.data.dataset import Dataset
from ance.runtime.artifacts import published
from ance.runtime.contracts import RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store

if TYPE_CHECKING:
    from ance.retrieval.bm25 import BM25

log = logging.getLogger(__name__)


def open_bm25(store: Store, layout: RunLayout, config: RunConfig, dataset: Dataset, cache: Path) -> BM25:
    """Map the index in the cache; without one, build it there.

    Args:
        dataset: the run's, as it was opened.
        cache: folder that processes of this machine may share.

    Raises:
        AnceError: the store does not answer, a file of the index is damaged, or no passage has a word.
    """
    from ance.retrieval.bm25 import BM25  # takes a while to import

    ref = published(store, layout.dataset(config.dataset))
    assert ref is not None, config.dataset  # it was just opened
    folder = cache / f"bm25-{ref.manifest_sha256}"  # another data set gets another index
    if not folder.is_dir():
        _build(dataset, folder)
    return BM25.open(folder)


def _build(dataset: Dataset, folder: Path) -> None:
    """Build beside and rename, so that a folder of this name is whole; the first of several processes wins."""
    from ance.retrieval.bm25 import BM25

    started = time.perf_counter()
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir(parents=True)
    try:
        BM25.build(dataset.passages.full_texts()).save(temporary)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    log.info("BM25 built", extra={"passages": len(dataset.passages), "seconds": round(time.perf_counter() - started)})
