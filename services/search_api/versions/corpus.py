"""What all versions are about: the run's documents, and BM25 over them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.runtime.bm25_cache import open_bm25
from ance.runtime.run import OpenRun
from services.search_api.engine.errors import NotReady
from services.search_api.settings import SearchSettings
from services.search_api.versions.poller import Poller
from services.search_api.versions.sample_queries import some_queries

if TYPE_CHECKING:
    from ance.data.texts import Texts
    from ance.retrieval.bm25 import BM25

log = logging.getLogger(__name__)


class Corpus:
    """Opens the data set once, for all versions. BM25 is built once, in the background, and kept in the cache."""

    def __init__(self, run: OpenRun[SearchSettings]) -> None:
        self._run = run
        self._dataset: Dataset | None = None
        self._examples: tuple[str, ...] = ()
        self._bm25: BM25 | None = None
        self._opening = threading.Lock()
        self._poller = Poller("corpus", self._load, run.settings.poll_seconds)
        self._problem = "it is being built; retry in a while"

    def start(self) -> None:
        """Open and build in the background."""
        self._poller.start()

    def stop(self) -> None:
        """Stop trying."""
        self._poller.stop()

    @property
    def is_open(self) -> bool:
        """Whether the documents can be read."""
        return self._dataset is not None

    def dataset(self) -> Dataset:
        """The run's data set. The first call opens it, which verifies its files.

        Raises:
            AnceError: the store does not answer, or what it holds is damaged.
        """
        with self._opening:
            if self._dataset is None:
                dataset = self._run.open_dataset()
                self._examples = tuple(some_queries(dataset))
                self._dataset = dataset
            return self._dataset

    def passages(self) -> Texts:
        """The documents.

        Raises:
            NotReady: they are not open yet.
        """
        if self._dataset is None:
            raise NotReady("documents", "The documents are not loaded yet; retry in a while.")
        return self._dataset.passages

    def examples(self) -> tuple[str, ...]:
        """A few queries of the data set.

        Raises:
            NotReady: it is not open yet.
        """
        self.passages()
        return self._examples

    def bm25(self) -> BM25:
        """The sparse index.

        Raises:
            NotReady: it is being built, could not be, or is switched off.
        """
        if self._bm25 is None:
            reason = self._problem if self._run.settings.bm25 else "it is switched off (ANCE_BM25)"
            raise NotReady("bm25", f"There is no BM25 index: {reason}.")
        return self._bm25

    def _load(self) -> None:
        try:
            dataset = self.dataset()
            self._poller.give_way()
            if self._bm25 is None and self._run.settings.bm25:
                run = self._run
                self._bm25 = open_bm25(run.store, run.layout, run.config, dataset, run.settings.cache_dir)
        except (AnceError, OSError) as error:
            if str(error) != self._problem:
                log.warning("corpus not loaded, trying again: %s", error)
            self._problem = str(error)
