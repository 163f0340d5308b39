import pytest
from prometheus_client import Gauge

from services.search_api.engine.admission import Admission
from services.search_api.engine.errors import Overloaded


@pytest.fixture
def depth() -> Gauge:
    return Gauge("depth", "Items.", registry=None)


def test_items_are_counted_not_requests(depth: Gauge) -> None:
    lane = Admission("queries", 10, depth)
    with lane.admit(6), lane.admit(4):
        assert depth.collect()[0].samples[0].value == 10
        with (
            pytest.raises(Overloaded, match=r"10 queries are in work.*1 more would exceed 10") as refusal,
            lane.admit(1),
        ):
            pass
        assert refusal.value.retry_after >= 1
    assert lane.idle and depth.collect()[0].samples[0].value == 0


def test_room_is_given_back_after_a_failure(depth: Gauge) -> None:
    lane = Admission("queries", 1, depth)
    with pytest.raises(RuntimeError), lane.admit(1):
        raise RuntimeError
    with lane.admit(1):
        assert not lane.idle


def test_a_request_larger_than_the_limit_is_let_in_alone(depth: Gauge) -> None:
    lane = Admission("queries", 10, depth)
    with lane.admit(1), pytest.raises(Overloaded), lane.admit(11):
        pass
    with lane.admit(11):
        assert not lane.idle
