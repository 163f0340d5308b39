"""Wrong combinations of values are refused with a message that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import CPU, OVERLAYS, RUN, Refused, render

RWO = {"url": "", "persistence": {"enabled": True, "accessModes": ["ReadWriteOnce"]}}
EXTERNAL = {"redis": {"enabled": False}}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no run": ({"run": {"id": ""}}, "run.id is empty: name the run"),
    "no data set": ({"run": {"dataset": {"source": ""}}}, "run.dataset needs source and name"),
    "no configuration": ({"run": {"config": {"model": None}}}, "run.config has no model.name_or_path"),
    "run inside its configuration": (
        {"run": {"config": {"run": "x"}}},
        "run.config.run is set: leave it out and set run.id",
    ),
    "no store": ({"artifactStore": {"url": ""}}, "no artifact store: set artifactStore.url"),
    "two stores": ({"artifactStore": {"persistence": {"enabled": True}}}, "exclude each other: choose one"),
    "RWO and several replicas": ({"artifactStore": RWO}, "has no ReadWriteMany, but several replicas share the store"),
    "a volume for one pod": (
        {"artifactStore": {"url": "", "persistence": {"enabled": True, "accessModes": ["ReadWriteOncePod"]}}},
        "ReadWriteOncePod, but many pods share the store",
    ),
    "no Redis": (EXTERNAL, "no Redis: set redis.enabled to true, or externalRedis.host"),
    "two Redis": ({"externalRedis": {"host": "redis"}}, "redis.enabled and externalRedis exclude each other"),
    "sentinel without master": (
        {**EXTERNAL, "externalRedis": {"mode": "sentinel", "sentinel": {"nodes": ["a:26379"]}}},
        "set externalRedis.sentinel.master and externalRedis.sentinel.nodes",
    ),
    "TLS without secret": ({"redis": {"tls": {"enabled": True}}}, "redis.tls.enabled needs redis.tls.existingSecret"),
    "client certificate without secret": (
        {**EXTERNAL, "externalRedis": {"host": "redis", "tls": {"enabled": True, "clientCertificate": True}}},
        "externalRedis.tls.clientCertificate needs externalRedis.tls.existingSecret",
    ),
    "certificates without TLS": (
        {**EXTERNAL, "externalRedis": {"host": "redis", "tls": {"existingSecret": "tls"}}},
        "externalRedis.tls.enabled is not: set it to true",
    ),
    "ACL user without password": (
        {**EXTERNAL, "externalRedis": {"host": "redis", "username": "ance"}},
        "externalRedis.username needs externalRedis.existingSecret",
    ),
    "TLS of the feed without secret": (
        {"feed": {"tls": {"enabled": True}}},
        "feed.tls.enabled needs feed.tls.existingSecret, a Secret with tls.crt, tls.key and ca.crt, whose certificate "
        "is for ance-trainer",
    ),
    "certificates of the feed without TLS": (
        {"feed": {"tls": {"existingSecret": "tls"}}},
        "feed.tls.enabled is not: set it to true",
    ),
    "a client certificate for the feed without TLS": (
        {"feed": {"tls": {"clientCertificate": True}}},
        "feed.tls.enabled is not: set it to true",
    ),
    "a token for a feed that asks for none": (
        {"feed": {"auth": {"enabled": False, "existingSecret": "token"}}},
        "feed.auth.enabled is not: set it to true, or leave the Secret out",
    ),
    "a batch that the processes cannot share": (
        {"trainer": {"nodes": 2, "gpu": {"count": 3}}, "run": {"config": {"training": {"batch_size": 32}}}},
        "are 6 processes, which can't share run.config.training.batch_size 32 equally",
    ),
    "shared memory beyond the memory": (
        {"trainer": {"shm": {"size": "64Gi"}}},
        "trainer.shm.size 64Gi does not fit trainer.resources.limits.memory 48Gi",
    ),
    "more ranges than indexers": (
        {"indexer": {"ranges": 3, "replicas": 2}},
        "indexer.ranges 3 is more than indexer.replicas 2",
    ),
    "ranges and look-ahead": (
        {"indexer": {"ranges": 2, "replicas": 2}, "run": {"config": {"negatives": {"lookahead": 0.5}}}},
        "indexer.ranges 2 and run.config.negatives.lookahead exclude each other",
    ),
    "ranges and Milvus": (
        {"indexer": {"ranges": 2, "replicas": 2}, "run": {"config": {"index": {"backend": "milvus"}}}},
        "indexer.ranges 2 and run.config.index.backend milvus exclude each other",
    ),
    "KEDA and HPA": (
        {"assumeApis": True, "inferencer": {"autoscaling": {"mode": "keda", "hpa": {"metrics": [{"type": "Pods"}]}}}},
        "two scalers would fight over one Deployment",
    ),
    "HPA without metrics": (
        {"inferencer": {"autoscaling": {"mode": "hpa", "min": 1}}},
        "set inferencer.autoscaling.hpa.metrics",
    ),
    "HPA to zero": (
        {"inferencer": {"autoscaling": {"mode": "hpa", "hpa": {"metrics": [{"type": "Pods"}]}}}},
        "can't scale to 0 before Kubernetes 1.37: set min to 1",
    ),
    "more at least than at most": (
        {"inferencer": {"autoscaling": {"mode": "builtin", "min": 9, "max": 8}}},
        "min 9 is more than max 8",
    ),
    "scaler without the API": (
        {"kubernetes": {"enabled": False}, "inferencer": {"autoscaling": {"mode": "builtin"}}},
        "set kubernetes.enabled to true",
    ),
    "scaler without indexer": (
        {"indexer": {"enabled": False}, "inferencer": {"autoscaling": {"mode": "builtin"}}},
        "set indexer.enabled to true",
    ),
    "grace too short": (
        {"searchApi": {"terminationGracePeriodSeconds": 30}},
        "is too short for preStopSeconds + drain",
    ),
    "ingress without host": ({"searchApi": {"ingress": {"enabled": True}}}, "needs searchApi.ingress.host"),
    "route without gateway": (
        {"assumeApis": True, "searchApi": {"httpRoute": {"enabled": True}}},
        "needs searchApi.httpRoute.parentRefs",
    ),
    "a test without API key": (
        {"searchApi": {"auth": {"existingSecret": "keys"}}},
        "set tests.apiKey.existingSecret, or tests.enabled to false",
    ),
    "cache beyond the disk": (
        {"indexer": {"cache": {"sizeLimit": "500Gi"}}},
        "indexer.cache.sizeLimit 500Gi does not fit indexer.resources.limits.ephemeral-storage 80Gi",
    ),
    "a rollout that can't begin": (
        {"inferencer": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}},
        "maxSurge 0 and maxUnavailable 0, so that no rollout could ever begin",
    ),
    "no KEDA": (
        {"inferencer": {"autoscaling": {"mode": "keda"}}},
        "needs keda.sh/v1alpha1, which this cluster does not",
    ),
    "no Prometheus operator": (
        {"monitoring": {"podMonitor": {"enabled": True}}},
        "monitoring.podMonitor.enabled needs monitoring.coreos.com/v1",
    ),
    "unknown key": ({"trainer": {"nodeSelectr": {"a": "b"}}}, "additional properties 'nodeSelectr' not allowed"),
    "unknown key at the top": ({"serachApi": {}}, "additional properties 'serachApi' not allowed"),
    "unknown mode": ({"inferencer": {"autoscaling": {"mode": "vpa"}}}, "one of 'none', 'keda', 'hpa', 'builtin'"),
    "a negative count": ({"inferencer": {"replicas": -1}}, "/inferencer/replicas"),
    "a store by folder": ({"artifactStore": {"url": "file:///data"}}, "/artifactStore/url"),
    "a name that is no name": ({"run": {"id": "a/b"}}, "/run/id"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_combination_is_refused_and_the_message_says_what_to_do(case: str) -> None:
    values, message = WRONG[case]
    with pytest.raises(Refused) as refused:
        render(RUN, values=values)
    assert message in str(refused.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Refused) as refused:
        render()
    for message in ("run.id is empty", "run.dataset needs", "run.config has no model", "no artifact store"):
        assert message in str(refused.value)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_overlays_are_right(overlay: str) -> None:
    assert render(*OVERLAYS[overlay])


def test_a_disabled_component_is_not_asked_about() -> None:
    run = {"source": "", "name": ""}
    objects = render(RUN, values={"prepare": {"enabled": False}, "run": {"dataset": run, "config": {"model": None}}})
    assert "prepare" not in {item["metadata"]["labels"].get("app.kubernetes.io/component") for item in objects}


def test_a_volume_of_one_node_may_be_read_write_once() -> None:
    assert render(CPU)


def test_what_the_cluster_offers_need_not_be_assumed() -> None:
    values = {"inferencer": {"autoscaling": {"mode": "keda"}}}
    objects = render(RUN, values=values, arguments=("--api-versions", "keda.sh/v1alpha1"))
    assert "ScaledObject" in {item["kind"] for item in objects}
