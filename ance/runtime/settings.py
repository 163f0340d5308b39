"""Settings of a service, from environment variables `ANCE_...`, which Helm or `ance up` set."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ByteSize, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, SettingsError

from ance.errors import AnceError
from ance.runtime.contracts import NAME
from ance.runtime.health import LIVENESS_SECONDS
from ance.runtime.redis.settings import RedisSettings


def _unique_name() -> str:
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


DEFAULT_CACHE = Path("~/.cache/ance").expanduser()


class ServiceSettings(RedisSettings):
    """What every service is told. The science of a run is in its run.yaml, never here."""

    store: str
    """URL of the artifact store, e.g. file:///var/lib/ance or s3://bucket/prefix."""
    run: str = Field(pattern=NAME)
    """Id of the run to serve, e.g. demo."""
    metrics_port: NonNegativeInt = Field(default=9090, le=65535)
    """Port of /metrics, /startupz, /readyz and /livez; 0 for any free one."""
    run_wait_seconds: NonNegativeFloat = 0.0
    """How long to wait for the run to be created in the store (0: it must be there)."""
    liveness_seconds: PositiveFloat = LIVENESS_SECONDS
    """/livez fails when the loop of the service has not come round for this long."""
    kubernetes: bool = False
    """Whether to use the API server of Kubernetes: for leases, events, deletion costs and scaling."""
    event_object: str = ""
    """Kind/name of the Kubernetes object that events are on, e.g. Deployment/ance-indexer (empty: the pod)."""
    cache_dir: Path = DEFAULT_CACHE
    """Local folder for copies of artifacts that the store does not keep on this machine."""
    cache_bytes: ByteSize | None = None
    """Largest size of these copies together, e.g. 20GiB (unset: any). The least recently used go first."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal and JSON elsewhere."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe messages of our own code that are logged."""
    threads: PositiveInt | None = None
    """CPU threads for tensor work (unset: as many as the libraries choose)."""
    holder: str = Field(default_factory=_unique_name, min_length=1)
    """Name of this process on leases and tasks. A restarted process must not pass for the one that died: the
    default is the host's (the pod's) name with a random ending."""


class LeaderSettings(ServiceSettings):
    """What a service is told of which one process in a run is the leader."""

    leader_seconds: PositiveFloat = 15.0
    """A leader that has been silent this long is replaced."""
    lease_backend: Literal["redis", "kubernetes"] = "redis"
    """Where the lease of the leader is kept; `kubernetes` needs ANCE_KUBERNETES=true."""
    on_complete: Literal["exit", "wait"] = "exit"
    """What to do when the run is finished. `wait` is for a pod that would be restarted: it stays until SIGTERM."""


Settings = TypeVar("Settings", bound=BaseSettings)


def load(settings: type[Settings]) -> Settings:
    """Read settings from the environment.

    Raises:
        AnceError: a variable is missing or has an unusable value; the message names the variable.
    """
    try:
        return settings()
    except ValidationError as error:
        raise AnceError("; ".join(_problems(settings, error))) from error
    except SettingsError as error:
        raise AnceError(f"environment: {error}") from error


def _problems(settings: type[Settings], error: ValidationError) -> list[str]:
    """One problem a variable. Values are left out: a URL can hold a password."""
    problems = []
    for problem in error.errors(include_input=False, include_url=False):
        field, *inside = (str(part) for part in problem["loc"] or ("",))
        if field not in settings.model_fields:
            problems.append(problem["msg"])
            continue
        variable = f"{settings.model_config.get('env_prefix', '')}{field}".upper()
        name = ".".join([variable, *inside])
        meaning = settings.model_fields[field].description or ""
        if problem["type"] == "missing":
            problems.append(f"environment variable {name} is not set. {meaning}".rstrip(" ."))
        else:
            problems.append(f"environment variable {name}: {problem['msg']}. {meaning}".rstrip(" ."))
    return problems
