"""Off is the default, and off is nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from ance.errors import AnceError
from ance.runtime import tracing
from ance.runtime.tracing import current_traceparent, exemplar, span, stages

SERVICES = ("trainer", "inferencer", "indexer", "search_api")
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


def test_without_an_endpoint_the_services_need_no_sdk_and_no_exporter() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry.sdk'] = sys.modules['opentelemetry.exporter'] = None  # as if not installed\n"
        f"import {', '.join(f'services.{service}.wiring' for service in SERVICES)}\n"
        "from ance.runtime import tracing\n"
        "tracing.start('trainer', 'demo')\n"
        "with tracing.span('work') as work:\n"
        "    print(work.traceparent == '', 'ance.runtime.tracing.otlp' in sys.modules)\n"
    )
    environment = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.stdout == "True False\n", done.stderr


@pytest.mark.parametrize(
    "switched_off",
    [{}, {**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}],
)
def test_off_leaves_no_trace(switched_off: dict[str, str]) -> None:
    tracing.start("trainer", "demo", environ=switched_off)
    with span("work", step=3) as work:
        work.set(more=1)
        work.add(tokens=2)
        stages(time.perf_counter(), [("queue", 1.0)])
        assert (current_traceparent(), exemplar()) == ("", None)
    assert work.attributes == {}


def test_off_costs_less_than_a_few_microseconds_a_span() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        for _ in range(1000):
            with span("work", step=3, part="passages"):
                pass
        return (time.perf_counter() - began) / 1000

    assert min(seconds() for _ in range(5)) < 10e-6


def test_an_endpoint_without_the_packages_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "ance.runtime.tracing.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(AnceError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT is set.*ance-kubernetes\[tracing\]"):
        tracing.start("trainer", "demo", environ=ENDPOINT)
