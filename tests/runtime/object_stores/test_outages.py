"""No answer, half of one, and too many: outages, which pass. A refusal and a missing bucket do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ance.cli.stack import free_port
from ance.errors import AnceError, TemporaryError
from ance.runtime.store import Store
from tests.runtime.object_stores.answers import Answer, answer, answering
from tests.runtime.object_stores.wire import Request
from tests.runtime.test_pointers import ref

ASKS: dict[str, Callable[[Store, Path], object]] = {
    "read": lambda store, _: store.read("a"),
    "exists": lambda store, _: store.exists("a"),
    "write": lambda store, _: store.write("a", b"x"),
    "move_pointer": lambda store, _: store.move_pointer("a", ref(1)),
    "download": lambda store, folder: store.download("a", folder / "target"),
    "delete": lambda store, _: store.delete("a"),
}


@pytest.fixture(params=ASKS)
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Store], object]:
    """A way to ask a store for something."""
    return lambda store: ASKS[request.param](store, tmp_path)


def test_no_answer_is_an_outage(
    scheme: str, elsewhere: Callable[[str], Store], requests: list[Request], ask: Callable[[Store], object]
) -> None:
    with pytest.raises(TemporaryError, match=r"unreachable, gave up: .*[Cc](ould no|anno)t connect"):
        ask(elsewhere(f"http://127.0.0.1:{free_port()}"))
    # The store waits and tries again, the libraries hardly.
    assert 1 <= len(requests) <= {"s3": 8, "gs": 2, "az": 3}[scheme]


@pytest.mark.parametrize("asks", ["read", "move_pointer"])
def test_an_overloaded_store_is_an_outage(
    scheme: str, elsewhere: Callable[[str], Store], asks: str, tmp_path: Path
) -> None:
    said = answer(scheme, 503, "SlowDown", "later please")
    with answering(said) as endpoint, pytest.raises(TemporaryError, match="unreachable, gave up"):
        ASKS[asks](elsewhere(endpoint), tmp_path)


def test_half_an_answer_is_an_outage(elsewhere: Callable[[str], Store]) -> None:
    said = Answer(206, "half", length=8)
    with answering(said) as endpoint, pytest.raises(TemporaryError, match="unreachable, gave up"):
        elsewhere(endpoint).read("a")


def test_a_refusal_is_said_at_once(
    scheme: str, elsewhere: Callable[[str], Store], ask: Callable[[Store], object]
) -> None:
    said = answer(scheme, 403, "AccessDenied", "no rights to this bucket")
    with answering(said) as endpoint, pytest.raises(AnceError, match=r"could not [a-z ]+ a: .*") as refused:
        ask(elsewhere(endpoint))
    assert not isinstance(refused.value, TemporaryError)
    assert "\n" not in str(refused.value)


def test_a_bucket_that_is_not_there_is_said(scheme: str, url: str) -> None:
    with pytest.raises(AnceError, match=rf"store {scheme}://nowhere/x: there is no such bucket .*: create it"):
        Store.open(f"{scheme}://nowhere/x", retry_seconds=0).check_writable()
