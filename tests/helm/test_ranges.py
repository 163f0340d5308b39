"""Several indexers share the passages: how many ranges there are, all of them are told."""

from __future__ import annotations

import pytest

from services.indexer.settings import IndexerSettings
from tests.helm.chart import RUN, environment, main_container, of_kind, pods, render


@pytest.mark.parametrize(("indexer", "ranges"), [({}, "1"), ({"ranges": 3, "replicas": 4}, "3")])
def test_every_indexer_is_told_how_many_ranges_there_are(indexer: dict[str, int], ranges: str) -> None:
    found = render(RUN, values={"indexer": indexer})
    assert environment(main_container(pods(found)["indexer"]))["ANCE_INDEXER_RANGES"] == ranges
    assert of_kind(found, "Deployment")["ance-indexer"]["spec"]["replicas"] == indexer.get("replicas", 1)
    assert "indexer_ranges" in IndexerSettings.model_fields


def test_indexers_may_hold_a_lease_for_each_range() -> None:
    found = render(
        RUN, values={"kubernetes": {"enabled": True, "leases": True}, "indexer": {"ranges": 2, "replicas": 2}}
    )
    rules = of_kind(found, "Role")["ance-indexer"]["rules"]
    (leases,) = [rule for rule in rules if "leases" in rule["resources"]]
    assert "resourceNames" not in leases and {"get", "create", "update"} <= set(leases["verbs"])
