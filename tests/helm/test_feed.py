"""Token and certificates of the checkpoint feed as the pods see them, read by the services' own settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ance.runtime.feed import CheckpointServer, CheckpointWatcher
from ance.runtime.feed.settings import FeedSettings, WatcherSettings
from ance.runtime.settings import load
from tests.helm.chart import COMPONENTS, RUN, Object, containers, environment, main_container, of_kind, pods
from tests.helm.chart import render as render_chart
from tests.runtime.feed.feeds import nothing_published
from tests.runtime.tls import Authority

WATCHERS = ("inferencer", "indexer")
ENDS = ("trainer", *WATCHERS)
TLS = {"tls": {"enabled": True, "existingSecret": "certificates"}}
MUTUAL = {"tls": {**TLS["tls"], "clientCertificate": True}}
FOLDER = "/etc/ance/feed-tls/"


def render(**feed: Any) -> list[Object]:
    return render_chart(RUN, values={"feed": feed})


def variables(objects: list[Object], component: str) -> dict[str, Any]:
    """Those of the feed."""
    found = environment(main_container(pods(objects)[component]))
    return {name: value for name, value in found.items() if name.startswith("ANCE_FEED")}


def test_the_token_is_generated_and_only_the_ends_of_the_feed_know_it() -> None:
    objects = render()
    secret = of_kind(objects, "Secret")["ance-feed"]
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert secret["data"]["token"] not in str([item for item in objects if item["kind"] != "Secret"])
    for component in COMPONENTS.values():
        names = {name for container in containers(pods(objects)[component]) for name in environment(container)}
        assert ("ANCE_FEED_TOKEN" in names) is (component in ENDS)
    for component in ENDS:
        reference = variables(objects, component)["ANCE_FEED_TOKEN"]["secretKeyRef"]
        assert reference == {"name": "ance-feed", "key": "token"}


def test_an_existing_token_is_used_and_none_is_made() -> None:
    objects = render(auth={"existingSecret": "mine", "existingSecretKey": "feed"})
    assert "ance-feed" not in of_kind(objects, "Secret")
    for component in ENDS:
        reference = variables(objects, component)["ANCE_FEED_TOKEN"]["secretKeyRef"]
        assert reference == {"name": "mine", "key": "feed"}


def test_the_feed_can_be_open() -> None:
    objects = render(auth={"enabled": False})
    assert "ance-feed" not in of_kind(objects, "Secret")
    for component in ENDS:
        assert "ANCE_FEED_TOKEN" not in variables(objects, component)


def test_without_a_trainer_nobody_knows_of_its_feed() -> None:
    objects = render_chart(RUN, values={"trainer": {"enabled": False}, "feed": MUTUAL})
    assert "ance-feed" not in of_kind(objects, "Secret")
    for component in WATCHERS:
        assert variables(objects, component) == {}
        assert "feed-tls" not in str(pods(objects)[component])


@pytest.mark.parametrize(
    ("feed", "trainer", "watcher"),
    [
        ({}, set(), set()),
        (TLS, {"CERT", "KEY"}, {"CA"}),
        (MUTUAL, {"CA", "CERT", "KEY"}, {"CA", "CERT", "KEY"}),
    ],
    ids=["plain", "TLS", "mutual TLS"],
)
def test_certificates_make_a_server_and_clients_that_the_code_takes(
    feed: dict[str, Any], trainer: set[str], watcher: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    pair = authority.issue("trainer")
    files = {"ca.crt": authority.certificate, "tls.crt": pair.certificate, "tls.key": pair.key}
    objects = render(**feed)
    for component in ENDS:
        given = {
            name: value.removeprefix(FOLDER)
            for name, value in variables(objects, component).items()
            if name.endswith("_FILE")
        }
        assert {name.split("_")[2] for name in given} == (trainer if component == "trainer" else watcher)
        with monkeypatch.context() as patch:
            for name, file in given.items():
                patch.setenv(name, str(files[file]))
            if component == "trainer":
                CheckpointServer(0, "demo", credentials=load(FeedSettings).feed_credentials)
            else:
                CheckpointWatcher("", "demo", nothing_published, credentials=load(WatcherSettings).feed_credentials)


@pytest.mark.parametrize("component", ENDS)
@pytest.mark.parametrize("feed", [TLS, MUTUAL], ids=["TLS", "mutual TLS"])
def test_certificates_are_mounted_and_a_key_only_where_it_is_needed(component: str, feed: dict[str, Any]) -> None:
    pod = pods(render(**feed))[component]
    (volume,) = [one for one in pod["spec"]["volumes"] if one["name"] == "feed-tls"]
    only_authority = component != "trainer" and feed is TLS
    assert volume["secret"].get("items") == ([{"key": "ca.crt", "path": "ca.crt"}] if only_authority else None)
    mounts = main_container(pod)["volumeMounts"]
    assert {"name": "feed-tls", "mountPath": FOLDER.rstrip("/"), "readOnly": True} in mounts
    assert "feed-tls" not in str(pods(render())[component])


def test_the_service_says_what_it_speaks() -> None:
    for feed, protocol in (({}, "kubernetes.io/h2c"), (TLS, "https")):
        (port,) = of_kind(render(**feed), "Service")["ance-trainer"]["spec"]["ports"]
        assert port["appProtocol"] == protocol
