from ance import __version__
from tests.services.search_api.live import Live
from tests.services.search_api.tiny_run import TinyRun


def test_it_has_started_when_the_documents_are_open_though_there_is_no_index(live: Live) -> None:
    live.wait_until(lambda: live.client.get("/startupz").status_code == 200)
    assert live.client.get("/readyz").status_code == 503
    assert live.client.get("/version").json() == {"version": __version__, "run": "tiny", "index": None}


def test_it_is_ready_when_it_serves(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    for probe, status in (("/healthz", "ok"), ("/startupz", "started"), ("/readyz", "ready")):
        assert live.client.get(probe).json() == {"status": status}
