"""A Milvus that keeps the indexes, as the pods see it."""

from __future__ import annotations

from typing import Any

import pytest

from ance.runtime.milvus.settings import MilvusSettings, check_address
from ance.runtime.settings import load
from services.indexer.settings import IndexerSettings
from tests.helm.chart import COMPONENTS, RUN, Object, Refused, containers, environment, main_container, of_kind, pods
from tests.helm.chart import render as render_chart

IN_MILVUS = {"config": {"index": {"backend": "milvus", "factory": "HNSW,M=16"}}}
MILVUS = {"uri": "https://milvus:19530", "existingSecret": "milvus", "tls": {"existingSecret": "authority"}}
USERS = ("indexer", "search-api")


def render(**values: Any) -> list[Object]:
    return render_chart(RUN, values={"run": IN_MILVUS, "milvus": MILVUS, **values})


def test_only_those_who_build_and_search_indexes_know_of_it() -> None:
    found = pods(render())
    for component in COMPONENTS.values():
        text = str([environment(container) for container in containers(found[component])])
        assert ("MILVUS" in text) is (component in USERS)
    assert "MILVUS" not in str(pods(render_chart(RUN)))


@pytest.mark.parametrize("component", USERS)
def test_its_variables_are_settings_and_its_token_comes_from_the_secret(
    component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = environment(main_container(pods(render(milvus=MILVUS | {"database": "ance"}))[component]))
    assert variables["ANCE_MILVUS_TOKEN"]["secretKeyRef"] == {"name": "milvus", "key": "token"}
    ours = {name: value for name, value in variables.items() if name.startswith("ANCE_MILVUS_")}
    assert ours.keys() == {f"ANCE_{field}".upper() for field in MilvusSettings.model_fields}
    for name, value in ours.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "root:secret")
    settings = load(MilvusSettings)
    assert (settings.milvus_uri, settings.milvus_database) == ("https://milvus:19530", "ance")
    defaults = IndexerSettings.model_fields
    for seconds in ("milvus_timeout_seconds", "milvus_build_seconds", "milvus_staleness_seconds"):
        assert getattr(settings, seconds) == defaults[seconds].default


@pytest.mark.parametrize("component", USERS)
def test_its_authority_is_a_file_where_the_process_looks_for_it(component: str) -> None:
    pod = pods(render())[component]
    container = main_container(pod)
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "milvus-tls"]
    assert environment(container)["ANCE_MILVUS_CA_FILE"] == f"{mount['mountPath']}/ca.crt"
    (volume,) = [one for one in pod["spec"]["volumes"] if one["name"] == "milvus-tls"]
    assert volume["secret"] == {"secretName": "authority", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    plain = pods(render(milvus={"uri": "http://milvus:19530"}))[component]
    assert "milvus-tls" not in str(plain)


def test_network_policies_let_its_users_through_to_its_addresses() -> None:
    policy = {"enabled": True, "milvus": {"cidrs": ["10.0.0.0/8"], "ports": [443]}}
    found = of_kind(render(networkPolicy=policy), "NetworkPolicy")
    rule = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}
    for component in COMPONENTS.values():
        assert (rule in found[f"ance-{component}"]["spec"].get("egress", ())) is (component in USERS)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no address": ({"milvus": {}}, "run.config.index.backend is milvus: set milvus.uri"),
    "nobody uses it": ({"run": {}}, "milvus.uri is set, but run.config.index.backend is faiss"),
    "no scheme": ({"milvus": {"uri": "milvus:19530"}}, "milvus.uri is not http://HOST:PORT"),
    "password in the address": (
        {"milvus": {"uri": "http://root:secret@milvus:19530"}},
        "give user and password by milvus.existingSecret",
    ),
    "token for nobody": ({"run": {}, "milvus": {"existingSecret": "x"}}, "milvus.existingSecret needs milvus.uri"),
    "authority without TLS": (
        {"milvus": {"uri": "http://milvus:19530", "tls": {"existingSecret": "x"}}},
        "milvus.tls.existingSecret is set and milvus.uri does not begin with https://",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_combination_is_refused_with_what_to_do(wrong: str) -> None:
    values, message = WRONG[wrong]
    with pytest.raises(Refused, match=message):
        render(**values)


def test_a_run_that_exists_already_may_be_in_milvus_without_its_configuration_being_known() -> None:
    render(run={}, prepare={"enabled": False})


def test_what_the_chart_takes_the_services_take_too() -> None:
    for uri in ("http://milvus:19530", "https://milvus.example:443"):
        render(milvus={"uri": uri})
        check_address(MilvusSettings(milvus_uri=uri))
