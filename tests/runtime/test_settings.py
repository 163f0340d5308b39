import pytest
from pydantic import PositiveInt

from ance.errors import AnceError
from ance.runtime.settings import ServiceSettings, load


class WorkerSettings(ServiceSettings):
    lease_seconds: PositiveInt = 60
    """How long a silent worker keeps a task."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for field in WorkerSettings.model_fields:
        monkeypatch.delenv(f"ANCE_{field.upper()}", raising=False)
    monkeypatch.setenv("ANCE_STORE", "file:///data")
    monkeypatch.setenv("ANCE_RUN", "demo")
    return monkeypatch


def test_settings_come_from_variables_with_the_prefix(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ANCE_METRICS_PORT", "9191")
    environment.setenv("ANCE_LEASE_SECONDS", "5")

    settings = load(WorkerSettings)

    assert (settings.store, settings.run, settings.metrics_port) == ("file:///data", "demo", 9191)
    assert settings.lease_seconds == 5


def test_an_empty_variable_means_the_default(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ANCE_THREADS", "")
    assert load(ServiceSettings).threads is None


def test_a_missing_variable_is_named_with_its_meaning(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("ANCE_STORE")

    with pytest.raises(AnceError) as error:
        load(ServiceSettings)

    assert str(error.value) == (
        "environment variable ANCE_STORE is not set. "
        "URL of the artifact store, e.g. file:///var/lib/ance or s3://bucket/prefix"
    )


def test_every_unusable_variable_is_named_on_one_line(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ANCE_METRICS_PORT", "http")
    environment.setenv("ANCE_LEASE_SECONDS", "0")
    environment.setenv("ANCE_LOG_FORMAT", "xml")

    with pytest.raises(AnceError) as error:
        load(WorkerSettings)

    message = str(error.value)
    assert "environment variable ANCE_METRICS_PORT: Input should be a valid integer" in message
    assert "environment variable ANCE_LEASE_SECONDS: Input should be greater than 0" in message
    assert "environment variable ANCE_LOG_FORMAT: Input should be 'auto', 'json' or 'text'" in message
    assert "\n" not in message


def test_a_password_in_the_redis_url_is_never_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ANCE_REDIS_URL", "redis://:hunter2@redis:6379/0")
    assert "hunter2" not in repr(load(ServiceSettings))

    environment.setenv("ANCE_RUN", "redis://:hunter2@wrong-variable")
    with pytest.raises(AnceError, match="ANCE_RUN") as error:
        load(ServiceSettings)
    assert "hunter2" not in str(error.value)


def test_a_restarted_process_does_not_pass_for_the_one_before() -> None:
    assert load(ServiceSettings).holder != load(ServiceSettings).holder


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(ServiceSettings).run = "other"
