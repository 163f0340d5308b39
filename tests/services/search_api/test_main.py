import os
import signal
import subprocess
import sys

import httpx

from services.search_api.server import listen
from tests.services.search_api.live import Live
from tests.services.search_api.tiny_run import TinyRun


def start(run: TinyRun, **environment: str) -> subprocess.Popen[str]:
    """The service as a process of its own."""
    settings = {"ANCE_STORE": run.store.url, "ANCE_RUN": "tiny", "ANCE_POLL_SECONDS": "0.05"} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "services.search_api"],
        env=os.environ | settings,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_its_modules_import_without_the_heavy_libraries() -> None:
    """They are imported by the thread that loads the first version, when the probes are answered already."""
    program = "import sys, services.search_api.wiring; print({'torch', 'transformers', 'faiss'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"


def free_port() -> str:
    with listen("127.0.0.1", 0) as listener:
        return str(listener.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_the_process_serves_searches_and_metrics_and_leaves_on_sigterm(run: TinyRun) -> None:
    run.publish(1)
    port, metrics_port = free_port(), free_port()
    process = start(run, ANCE_HOST="127.0.0.1", ANCE_PORT=port, ANCE_METRICS_PORT=metrics_port)
    try:
        Live.wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), seconds=90)
        response = httpx.post(f"http://127.0.0.1:{port}/v1/search", json={"query": "red", "top_k": 3})
        assert len(response.json()["results"][0]["hits"]) == 3
        assert answers(f"http://127.0.0.1:{metrics_port}/livez")
        assert 'ance_search_index_step{run="tiny"} 1.0' in httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in log and '"level": "warning"' not in log


def test_a_process_whose_run_does_not_exist_yet_is_alive_and_not_ready(run: TinyRun) -> None:
    port, metrics_port = free_port(), free_port()
    process = start(
        run,
        ANCE_RUN="later",
        ANCE_RUN_WAIT_SECONDS="600",
        ANCE_HOST="127.0.0.1",
        ANCE_PORT=port,
        ANCE_METRICS_PORT=metrics_port,
    )
    try:
        Live.wait_until(lambda: answers(f"http://127.0.0.1:{metrics_port}/startupz"), seconds=90)
        assert answers(f"http://127.0.0.1:{metrics_port}/livez")
        assert not answers(f"http://127.0.0.1:{port}/readyz")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 143
