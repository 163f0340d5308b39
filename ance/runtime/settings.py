"""Settings of a service, from environment variables `ANCE_...`, which Helm or `ance up` set."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from ance.errors import AnceError
from ance.runtime.contracts import NAME


def _unique_name() -> str:
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


DEFAULT_CACHE = Path("~/.cache/ance").expanduser()


class ServiceSettings(BaseSettings):
    """What every service is told. The science of a run is in its run.yaml, never here."""

    model_config = SettingsConfigDict(
        env_prefix="ANCE_", env_ignore_empty=True, frozen=True, use_attribute_docstrings=True
    )

    store: str
    """URL of the artifact store, e.g. file:///var/lib/ance or s3://bucket/prefix."""
    run: str = Field(pattern=NAME)
    """Id of the run to serve, e.g. demo."""
    redis_url: str = Field(default="redis://127.0.0.1:6379/0", repr=False)  # it may hold a password
    """URL of Redis, e.g. redis://127.0.0.1:6379/0, or rediss:// for TLS."""
    metrics_port: NonNegativeInt = Field(default=9090, le=65535)
    """Port of /metrics, 0 for any free one."""
    cache_dir: Path = DEFAULT_CACHE
    """Local folder for copies of artifacts that the store does not keep on this machine."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal and JSON elsewhere."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe messages of our own code that are logged."""
    threads: PositiveInt | None = None
    """CPU threads for tensor work (unset: as many as the libraries choose)."""
    holder: str = Field(default_factory=_unique_name, min_length=1)
    """Name of this process on leases and tasks. A restarted process must not pass for the one that died: the
    default is the host's (the pod's) name with a random ending."""


Settings = TypeVar("Settings", bound=ServiceSettings)


def load(settings: type[Settings]) -> Settings:
    """Read settings from the environment.

    Raises:
        AnceError: a variable is missing or has an unusable value; the message names the variable.
    """
    try:
        return settings()  # type: ignore[call-arg]  # the environment gives the values
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
