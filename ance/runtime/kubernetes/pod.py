"""Which pod this process is, by the downward API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ance.errors import AnceError


@dataclass(frozen=True, slots=True)
class Pod:
    """The identity of a pod."""

    name: str
    namespace: str
    uid: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Pod:
        """Read POD_NAME, POD_NAMESPACE and POD_UID.

        Raises:
            AnceError: one is not set.
        """
        return cls(*(_required(environ, f"POD_{field}") for field in ("NAME", "NAMESPACE", "UID")))


def _required(environ: Mapping[str, str], variable: str) -> str:
    if not environ.get(variable):
        raise AnceError(
            f"environment variable {variable} is not set: with ANCE_KUBERNETES=true give the container POD_NAME, "
            "POD_NAMESPACE and POD_UID by the downward API, as the chart does"
        )
    return environ[variable]
