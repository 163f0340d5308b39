"""Redis, the store and secrets as the pods see them, checked with the settings that the services read."""

from __future__ import annotations

from typing import Any

import pytest

from ance.runtime.redis.settings import RedisSettings
from ance.runtime.settings import load
from services.indexer.settings import IndexerSettings
from services.inferencer.settings import InferencerSettings
from services.search_api.settings import SearchSettings
from services.trainer.settings import TrainerSettings
from tests.helm.chart import (
    CPU,
    EVERYTHING,
    RUN,
    SERVICES,
    Object,
    Refused,
    containers,
    environment,
    main_container,
    of_kind,
    pods,
    render,
)

SETTINGS = {
    "trainer": TrainerSettings,
    "inferencer": InferencerSettings,
    "indexer": IndexerSettings,
    "search-api": SearchSettings,
}
CLIENTS = ("trainer", "inferencer", "indexer", "search-api")


def service(objects: list[Object], component: str) -> dict[str, Any]:
    return environment(main_container(pods(objects)[component]))


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
@pytest.mark.parametrize("component", SETTINGS)
def test_every_variable_is_a_setting_of_the_service_that_reads_it(
    component: str, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = service(render(RUN, values=values), component)
    ours = {name: value for name, value in variables.items() if name.startswith("ANCE_")}
    for name, value in ours.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "1")
    known = {f"ANCE_{field}".upper() for field in SETTINGS[component].model_fields}
    # A device is what an image is for: the indexer has no use for it.
    assert ours.keys() - known - {"ANCE_DEVICE"} == set()
    settings = load(SETTINGS[component])
    assert settings.run == "passages"
    assert settings.metrics_port == 9090
    assert settings.run_wait_seconds == 86_400


def test_the_ports_of_a_container_are_the_ones_that_its_process_is_told() -> None:
    found = pods(render(RUN))
    for component, variable, port in (
        ("trainer", "ANCE_FEED_PORT", "feed"),
        ("search-api", "ANCE_PORT", "http"),
        *((component, "ANCE_METRICS_PORT", "metrics") for component in SETTINGS),
    ):
        container = main_container(found[component])
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}
        assert ports[port] == int(environment(container)[variable])


def test_workers_find_the_trainer_s_feed_by_its_service() -> None:
    objects = render(RUN)
    host, port = service(objects, "inferencer")["ANCE_FEED"].split(":")
    (feed,) = of_kind(objects, "Service")[host]["spec"]["ports"]
    assert feed["port"] == int(port)
    assert service(objects, "indexer")["ANCE_FEED"] == f"{host}:{port}"
    alone = render(RUN, values={"trainer": {"enabled": False}})
    assert "ANCE_FEED" not in service(alone, "inferencer")


def test_the_own_redis_asks_for_a_generated_password_that_is_no_argument() -> None:
    objects = render(RUN)
    secret = of_kind(objects, "Secret")["ance-redis"]
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    for component in CLIENTS:
        variables = service(objects, component)
        assert variables["ANCE_REDIS_URL"] == "redis://ance-redis:6379/0"
        reference = variables["ANCE_REDIS_PASSWORD"]["secretKeyRef"]
        assert reference == {"name": secret["metadata"]["name"], "key": "password"}
    redis = main_container(pods(objects)["redis"])
    assert "requirepass" in redis["args"][0]
    assert not redis.get("env")
    assert secret["data"]["password"] not in str([item for item in objects if item["kind"] != "Secret"])


def test_who_does_not_ask_redis_knows_nothing_of_it() -> None:
    tls = {"enabled": True, "existingSecret": "certificates"}
    found = pods(render(RUN, values={"searchApi": {"discovery": "store"}, "redis": {"tls": tls}}))
    for component in ("search-api", "prepare", "test"):
        assert "redis-tls" not in [volume["name"] for volume in found[component]["spec"].get("volumes", ())]
        for container in containers(found[component]):
            assert not [name for name in environment(container) if "REDIS" in name]


def test_an_existing_secret_is_used_and_none_is_made() -> None:
    auth = {"existingSecret": "mine", "existingSecretKey": "redis-password"}
    objects = render(RUN, values={"redis": {"auth": auth}})
    assert "ance-redis" not in of_kind(objects, "Secret")
    reference = service(objects, "trainer")["ANCE_REDIS_PASSWORD"]["secretKeyRef"]
    assert reference == {"name": "mine", "key": "redis-password"}


@pytest.mark.parametrize(
    ("external", "url"),
    [
        ({"host": "redis.example", "port": 6380, "database": 3}, "redis://redis.example:6380/3"),
        ({"host": "redis.example", "tls": {"enabled": True}}, "rediss://redis.example:6379/0"),
        (
            {"mode": "sentinel", "sentinel": {"master": "main", "nodes": ["a:26379", "b:26379"]}},
            "redis+sentinel://a:26379,b:26379/main/0",
        ),
        (
            {"mode": "sentinel", "sentinel": {"master": "main", "nodes": ["a:26379"]}, "tls": {"enabled": True}},
            "rediss+sentinel://a:26379/main/0",
        ),
    ],
)
def test_an_external_redis_is_reached_by_a_url_that_its_clients_understand(external: dict[str, Any], url: str) -> None:
    objects = render(RUN, values={"redis": {"enabled": False}, "externalRedis": external})
    assert service(objects, "trainer")["ANCE_REDIS_URL"] == url
    assert RedisSettings(redis_url=url).redis.tls is external.get("tls", {}).get("enabled", False)
    assert not of_kind(objects, "StatefulSet")


def test_certificates_of_redis_are_files_where_the_clients_look_for_them() -> None:
    tls = {"enabled": True, "existingSecret": "certificates", "clientCertificate": True}
    objects = render(RUN, values={"redis": {"tls": tls}})
    for component in CLIENTS:
        container = main_container(pods(objects)[component])
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        files = [value for name, value in environment(container).items() if name.endswith("_FILE")]
        assert files == [f"/etc/ance/redis-tls/{name}" for name in ("ca.crt", "tls.crt", "tls.key")]
        assert mounts["/etc/ance/redis-tls"] == "redis-tls"
    conf = of_kind(objects, "ConfigMap")["ance-redis"]["data"]["redis.conf"].splitlines()
    assert {"port 0", "tls-port 6379", "tls-auth-clients yes"} <= set(conf)


def test_without_a_client_certificate_only_the_authority_is_mounted() -> None:
    objects = render(RUN, values={"redis": {"tls": {"enabled": True, "existingSecret": "certificates"}}})
    (volume,) = [one for one in pods(objects)["trainer"]["spec"]["volumes"] if one["name"] == "redis-tls"]
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_the_store_is_the_same_for_everybody() -> None:
    for files, url in ((RUN, "s3://bucket/ance"), (CPU, "file:///store")):
        found = pods(render(files))
        for component in (*SERVICES.values(), "prepare"):
            for container in containers(found[component]):
                assert environment(container)["ANCE_STORE"] == url
                assert ("/store" in [mount["mountPath"] for mount in container["volumeMounts"]]) is (files == CPU)


def test_an_object_store_s_credentials_endpoint_and_authority_reach_every_process() -> None:
    store = {
        "existingSecret": "bucket",
        "endpointUrl": "https://minio.example",
        "region": "eu",
        "ca": {"existingSecret": "authority"},
    }
    found = pods(render(RUN, values={"artifactStore": store}))
    for component in (*SERVICES.values(), "prepare"):
        for container in containers(found[component]):
            assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
            variables = environment(container)
            assert variables["AWS_ENDPOINT_URL"] == "https://minio.example"
            assert variables["AWS_DEFAULT_REGION"] == "eu"
            assert variables["AWS_CA_BUNDLE"] == "/etc/ance/store-ca/ca.crt"


def test_what_was_trained_outlives_the_release() -> None:
    kept = {"artifactStore": {"persistence": {"keep": True}}}
    (claim,) = of_kind(render(CPU, values=kept), "PersistentVolumeClaim").values()
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    own = {"artifactStore": {"persistence": {"existingClaim": "mine"}}}
    objects = render(CPU, values=own)
    assert not of_kind(objects, "PersistentVolumeClaim")
    volumes = pods(objects)["trainer"]["spec"]["volumes"]
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "mine"}} in volumes


def test_caches_are_in_a_folder_that_can_be_written() -> None:
    for component in SERVICES.values():
        container = main_container(pods(render(RUN))[component])
        writable = tuple(one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly"))
        folders = ("HOME", "HF_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR", "ANCE_CACHE_DIR")
        assert all(environment(container)[name].startswith(writable) for name in folders)


def test_copies_of_artifacts_leave_room_in_the_cache() -> None:
    objects = render(RUN, values={"indexer": {"cache": {"sizeLimit": "10Gi"}}})
    assert int(service(objects, "indexer")["ANCE_CACHE_BYTES"]) == 8 * 2**30


def test_the_trainer_knows_how_long_it_has_to_save() -> None:
    objects = render(RUN, values={"trainer": {"terminationGracePeriodSeconds": 200}})
    assert service(objects, "trainer")["ANCE_GRACE_SECONDS"] == "200"


def test_api_keys_are_a_file_that_only_search_has() -> None:
    values = {"searchApi": {"auth": {"existingSecret": "keys"}}, "tests": {"apiKey": {"existingSecret": "key"}}}
    found = pods(render(RUN, values=values))
    container = main_container(found["search-api"])
    assert environment(container)["ANCE_API_KEYS_FILE"] == "/etc/ance/api-keys/keys"
    assert {"name": "api-keys", "mountPath": "/etc/ance/api-keys", "readOnly": True} in container["volumeMounts"]
    assert "api-keys" not in str(found["trainer"])
    assert environment(main_container(found["test"]))["SEARCH_API_KEY"]["secretKeyRef"]["name"] == "key"


def test_traces_are_sent_where_an_endpoint_is_given() -> None:
    objects = render(RUN, values={"otel": {"endpoint": "http://collector:4318"}})
    for component in SERVICES.values():
        variables = service(objects, component)
        assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
        assert variables["OTEL_SERVICE_NAME"] == f"ance-{component}"
    assert not [name for name in service(render(RUN), "trainer") if name.startswith("OTEL")]


def test_searches_are_sampled_and_refreshes_are_all_traced() -> None:
    objects = render(RUN, values={"otel": {"endpoint": "http://collector:4318", "sampleRatio": 0.05}})
    search = service(objects, "search-api")
    assert search["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
    assert float(search["OTEL_TRACES_SAMPLER_ARG"]) == 0.05
    for component in ("trainer", "inferencer", "indexer"):
        assert "OTEL_TRACES_SAMPLER" not in service(objects, component)
    with pytest.raises(Refused, match="sampleRatio"):
        render(RUN, values={"otel": {"sampleRatio": 5}})
    with pytest.raises(Refused, match="endpoint"):
        render(RUN, values={"otel": {"endpoint": "collector:4318"}})
