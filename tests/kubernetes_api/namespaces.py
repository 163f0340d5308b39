"""What a namespace lets in."""

from __future__ import annotations

from collections.abc import Collection

from tests.helm.restricted import violations
from tests.kubernetes_api.kinds import Object, Refusal

ENFORCE = "pod-security.kubernetes.io/enforce"


def admit_into(namespace: Object, body: Object, accounts: Collection[str]) -> None:
    """Judge a new object.

    Args:
        namespace: that it is to be in.
        body: the object.
        accounts: service accounts of the namespace.

    Raises:
        Refusal: the namespace is about to go, or a pod has no account or asks for more than its namespace allows.
    """
    metadata = namespace["metadata"]
    if "deletionTimestamp" in metadata:
        raise Refusal(403, "Forbidden", f"namespace {metadata['name']} is being terminated")
    if body["kind"] != "Pod":
        return
    account = body["spec"].get("serviceAccountName", "default")
    if account not in accounts:
        raise Refusal(403, "Forbidden", f"error looking up service account {metadata['name']}/{account}")
    if (metadata.get("labels") or {}).get(ENFORCE) == "restricted" and (found := violations(body)):
        raise Refusal(403, "Forbidden", f'violates PodSecurity "restricted": {"; ".join(found)}')
