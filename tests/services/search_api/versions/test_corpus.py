import logging
import shutil
import time
from collections.abc import Callable

import pytest

from services.search_api.engine.errors import NotReady
from services.search_api.versions.corpus import Corpus
from tests.services.search_api.tiny_run import TinyRun


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_bm25(corpus: Corpus) -> bool:
    try:
        return corpus.bm25().size > 0
    except NotReady:
        return False


def test_bm25_is_built_once_and_mapped_by_those_who_come_later(run: TinyRun, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        corpus = Corpus(run.open())
        corpus.start()
        until(lambda corpus=corpus: has_bm25(corpus))
        corpus.stop()
        assert corpus.bm25().size == len(corpus.passages()) == 56
    assert [record.message for record in caplog.records].count("BM25 built") == 1
    assert len(list((run.folder / "cache").glob("*bm25*"))) == 1


def test_it_says_what_is_not_there_yet(run: TinyRun) -> None:
    corpus = Corpus(run.open())
    with pytest.raises(NotReady, match="not loaded yet"):
        corpus.passages()
    with pytest.raises(NotReady, match="being built"):
        corpus.bm25()


def test_while_the_data_set_is_missing_it_says_so_once_and_tries_again(
    run: TinyRun, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = run.path(run.layout.dataset("tiny"))
    aside = dataset.rename(dataset.with_name("aside"))
    corpus = Corpus(run.open(poll_seconds=0.02))
    corpus.start()
    until(lambda: bool(caplog.records))
    time.sleep(0.1)
    assert len(caplog.records) == 1 and not corpus.is_open
    shutil.move(aside, dataset)
    until(lambda: has_bm25(corpus))
    corpus.stop()
