import pytest

from ance.runtime.artifacts import publish
from ance.runtime.contracts import Kind
from services.search_api.versions.reranker import RerankerFollower
from tests.services.search_api.tiny_run import TinyRun


def test_it_loads_each_newer_reranker_once(run: TinyRun) -> None:
    follower = RerankerFollower(run.open())
    follower.poll()
    assert follower.current() is None
    for step in (1, 2):
        run.publish_reranker(step)
        follower.poll()
        loaded = follower.current()
        assert loaded is not None and loaded.step == step
        follower.poll()
        assert follower.current() is loaded


def test_one_that_cannot_be_loaded_leaves_the_present_one_and_is_said_once(
    run: TinyRun, caplog: pytest.LogCaptureFixture
) -> None:
    follower = RerankerFollower(run.open())
    run.publish_reranker(1)
    follower.poll()
    folder = run.folder / "rubbish"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    pointer = run.layout.pointer("reranker")
    publish(run.store, run.layout.reranker(2), folder, kind=Kind.RERANKER, run_id="tiny", step=2, pointer=pointer)
    follower.poll()
    follower.poll()
    current = follower.current()
    assert current is not None and current.step == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
