"""Switching tracing on for a process, by the environment variables that OpenTelemetry has defined."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ance.errors import AnceError
from ance.runtime.tracing.spans import install

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
FLUSH_SECONDS = 3.0
"""How long the end of a process waits for a collector to take the last spans."""


def start(service: str, run: str, *, environ: Mapping[str, str] = os.environ) -> None:
    """Trace this process from now on, if the environment names a collector. Calling it again replaces the tracer.

    Args:
        service: short name of the process, e.g. `trainer`; its spans are those of the service `ance-trainer`, or of
            OTEL_SERVICE_NAME.
        run: id of the run, on every span.
        environ: where to look; the exporter itself reads os.environ.

    Raises:
        AnceError: the endpoint cannot be used, or the packages that tracing needs are missing.
    """
    stop()
    if not wanted(environ):
        return
    try:
        from ance.runtime.tracing.otlp import OtlpTracer
    except ImportError as error:
        variable = next(name for name in ENDPOINTS if environ.get(name))
        raise AnceError(
            f"{variable} is set, but {error.name} is not installed: pip install 'ance-kubernetes[tracing]', "
            "or unset it to go without traces"
        ) from error
    install(OtlpTracer(service, run))


def stop(seconds: float = FLUSH_SECONDS) -> None:
    """Export what is left, for at most `seconds`, and trace no more."""
    tracer = install(None)
    if tracer is not None:
        tracer.stop(seconds)


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces.

    Raises:
        AnceError: it asks for them in a way that we cannot serve.
    """
    variable = next((name for name in ENDPOINTS if environ.get(name)), None)
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if variable is None or disabled or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    if not environ[variable].startswith(("http://", "https://")):
        raise AnceError(f"{variable}: '{environ[variable]}' has no scheme: write http://HOST:4318 or https://HOST:4318")
    for name in PROTOCOLS:
        if environ.get(name, PROTOCOL) not in ("", PROTOCOL):
            raise AnceError(
                f"{name}: '{environ[name]}' is not spoken here: set it to {PROTOCOL}, and {variable} to the "
                "collector's port for it (4318)"
            )
    return True
