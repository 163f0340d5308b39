"""The kinds that the server knows, and what its paths name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass
class Refusal(Exception):
    """An answer that is an error."""

    status: int
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of objects."""

    api_version: str
    name: str
    plural: str
    scales: bool = False
    """It has a scale subresource."""
    custom: bool = False
    """It is defined by an operator, so its structure is unknown here."""
    namespaced: bool = True
    """Its objects are in namespaces, and not of the whole cluster."""


@dataclass(frozen=True)
class Resource:
    """What a path names, e.g. `apps/v1`, `default`, `deployments`, `encoder`."""

    api_version: str
    namespace: str
    plural: str
    name: str = field(default="")

    @property
    def kind(self) -> Kind:
        """Of the object.

        Raises:
            Refusal: there is no such kind.
        """
        for kind in KINDS:
            if (kind.api_version, kind.plural) == (self.api_version, self.plural):
                return kind
        raise Refusal(404, "NotFound", "the server could not find the requested resource")


BUILT_IN = (
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("v1", "Pod", "pods"),
    Kind("v1", "Secret", "secrets"),
    Kind("v1", "Service", "services"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("apps/v1", "Deployment", "deployments", scales=True),
    Kind("apps/v1", "StatefulSet", "statefulsets", scales=True),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("coordination.k8s.io/v1", "Lease", "leases"),
    Kind("events.k8s.io/v1", "Event", "events"),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    Kind("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False),
)
OPERATORS = (
    Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", custom=True),
    Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", custom=True),
    Kind("keda.sh/v1alpha1", "TriggerAuthentication", "triggerauthentications", custom=True),
    Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors", custom=True),
    Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", custom=True),
    Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors", custom=True),
)
KINDS = (*BUILT_IN, *OPERATORS)
