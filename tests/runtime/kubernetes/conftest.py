"""A pod and an API server for it."""

from tests.kubernetes_api.fixtures import api, cluster, patience

__all__ = ["api", "cluster", "patience"]
