"""What all indexers are told alike: how many ranges of passages they share, and what to do with dead letters."""

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


@pytest.mark.parametrize(("indexer", "policy"), [({}, "stop"), ({"onDeadLetter": "go_on"}, "go_on")])
def test_every_indexer_is_told_what_to_do_with_dead_letters(indexer: dict[str, str], policy: str) -> None:
    found = render(RUN, values={"indexer": indexer})
    variable = environment(main_container(pods(found)["indexer"]))["ANCE_ON_DEAD_LETTER"]
    assert variable == policy
    assert IndexerSettings.model_validate({"store": "s", "run": "demo", "on_dead_letter": variable})


def test_indexers_may_hold_a_lease_for_each_range() -> None:
    found = render(
        RUN, values={"kubernetes": {"enabled": True, "leases": True}, "indexer": {"ranges": 2, "replicas": 2}}
    )
    rules = of_kind(found, "Role")["ance-indexer"]["rules"]
    (leases,) = [rule for rule in rules if "leases" in rule["resources"]]
    assert "resourceNames" not in leases and {"get", "create", "update"} <= set(leases["verbs"])
