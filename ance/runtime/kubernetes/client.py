"""The API server of Kubernetes as one pod asks it: opened from its surroundings, with errors of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ance.errors import AnceError
from ance.runtime.kubernetes.pod import Pod
from ance.runtime.outage import Unreachable
from ance.runtime.settings import ServiceSettings

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

SERVER = "the API server"
"""Its name in logs."""
REQUEST_SECONDS = 5.0
"""Longest wait for an answer."""


class Refused(AnceError):
    """The API server has answered, and not with what was asked for."""


class Forbidden(Refused):
    """The service account lacks a permission, or its token is not accepted."""


class Missing(Refused):
    """There is no such object."""


class Conflict(Refused):
    """The object was changed by another since it was read, or is there already."""


_REFUSALS: dict[int, type[Refused]] = {401: Forbidden, 403: Forbidden, 404: Missing, 409: Conflict}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A connection to the API server, and who we are there. Thread-safe."""

    api: ApiClient
    pod: Pod

    @property
    def namespace(self) -> str:
        """The pod's namespace; no other one is touched."""
        return self.pod.namespace


def open_cluster(environ: Mapping[str, str] = os.environ) -> Cluster:
    """Find the API server: the file KUBECONFIG names, else the service account of this pod, else ~/.kube/config.

    Nothing is asked yet, so a server that is away is no error here.

    Raises:
        AnceError: the package `kubernetes` is not installed, none of the three is there, or the pod's identity is
            not in the environment.
    """
    try:
        from kubernetes.client import ApiClient, Configuration
    except ImportError as error:
        raise AnceError(
            "ANCE_KUBERNETES=true needs a package: run `pip install 'ance-kubernetes[kubernetes]'`"
        ) from error
    pod = Pod.from_environment(environ)
    configuration = Configuration()
    # The client would repeat a request by itself, past the time that the caller has.
    configuration.retries = False
    _load(configuration, environ)
    return Cluster(ApiClient(configuration), pod)


def cluster_for(settings: ServiceSettings) -> Cluster | None:
    """The cluster that a service runs in; None where ANCE_KUBERNETES is not true."""
    return open_cluster() if settings.kubernetes else None


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the client's errors inside the block into ours. `what` names the question, e.g. `patch pods/x`.

    Raises:
        Unreachable: no answer, or one that asks to try later.
        Refused: any other answer that is an error.
    """
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except HTTPError as error:
        raise Unreachable(f"{what}: {error}") from error
    except ApiException as error:
        status = error.status or 0  # none where TLS failed
        if status in (0, 408, 429) or status >= 500:
            raise Unreachable(f"{what}: {status} {error.reason}") from error
        message = f"Kubernetes refuses to {what}: {status} {error.reason}"
        if status in (401, 403):
            message += "; give the pod's service account a Role that allows it (rbac.create=true in the chart)"
        raise _REFUSALS.get(status, Refused)(message) from error


def now() -> datetime:
    """The time, fit for a MicroTime field: the server insists on six decimals, and isoformat leaves out zeros."""
    time = datetime.now(UTC)
    return time.replace(microsecond=max(1, time.microsecond))


def _load(configuration: Configuration, environ: Mapping[str, str]) -> None:
    from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

    try:
        if "KUBECONFIG" not in environ and "KUBERNETES_SERVICE_HOST" in environ:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            file = environ.get("KUBECONFIG")
            load_kube_config(config_file=file, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise AnceError(
            f"no API server of Kubernetes is configured ({error}): mount the pod's service account token "
            "(automountServiceAccountToken), name a file with KUBECONFIG, or set ANCE_KUBERNETES=false"
        ) from error
