import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from ance.runtime import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    logging.captureWarnings(False)
    root.handlers = handlers
    root.setLevel(level)
    for name in logs.OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_json_line_holds_the_message_and_every_field() -> None:
    stream = io.StringIO()
    logs.configure("trainer", "json", stream=stream, run="demo")
    logs.get_logger("ance.training").info("saved %s", "checkpoint", extra={"step": 300, "seconds": 0.4})

    line = json.loads(stream.getvalue())
    assert line.pop("ts").endswith("+00:00")
    assert line == {
        "level": "info",
        "service": "trainer",
        "msg": "saved checkpoint",
        "logger": "ance.training",
        "run": "demo",
        "step": 300,
        "seconds": 0.4,
    }


def test_what_json_cannot_hold_becomes_text() -> None:
    stream = io.StringIO()
    logs.configure("trainer", "json", stream=stream)
    fields = {"loss": float("nan"), "dev": {"RR@10": float("inf")}, "kind": ValueError("x")}
    logs.get_logger("ance").info("step", extra=fields)

    line = json.loads(stream.getvalue(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (line["loss"], line["dev"], line["kind"]) == ("nan", {"RR@10": "inf"}, "x")


def test_an_exception_stays_on_the_one_json_line() -> None:
    stream = io.StringIO()
    logs.configure("indexer", "json", stream=stream)
    try:
        raise OSError("disk full")
    except OSError:
        logs.get_logger("ance").exception("not published")

    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["error"].endswith("OSError: disk full")


def test_a_text_line_shows_fields_as_key_value() -> None:
    stream = io.StringIO()
    logs.configure("trainer", "text", stream=stream, run="demo")
    logs.get_logger("services.trainer").info("step done", extra={"step": 3, "loss": 0.123456, "stage": "warm up"})

    assert stream.getvalue()[9:] == "INFO    trainer: step done  step=3 loss=0.1235 stage='warm up'\n"


@pytest.mark.parametrize(("stream", "is_json"), [(Terminal(), False), (io.StringIO(), True)])
def test_auto_is_text_on_a_terminal_and_json_elsewhere(stream: io.StringIO, is_json: bool) -> None:
    logs.configure("trainer", stream=stream)
    logs.get_logger("ance").info("hello")
    assert stream.getvalue().startswith("{") is is_json


def test_libraries_are_quiet_until_they_warn() -> None:
    stream = io.StringIO()
    logs.configure("trainer", "text", stream=stream)
    library = logging.getLogger("some_library")
    library.info("chatter")
    library.warning("trouble")
    logs.get_logger("__main__").info("ours")

    assert [line.split(": ")[1] for line in stream.getvalue().splitlines()] == ["trouble", "ours"]


def test_debug_messages_appear_only_when_asked_for() -> None:
    stream = io.StringIO()
    logs.configure("trainer", "text", stream=stream)
    logs.get_logger("ance").debug("before")
    logs.configure("trainer", "text", stream=stream, level="DEBUG")
    logs.get_logger("ance").debug("after")

    assert "before" not in stream.getvalue()
    assert "after" in stream.getvalue()


def test_configuring_twice_logs_once() -> None:
    stream = io.StringIO()
    for _ in range(2):
        logs.configure("trainer", "text", stream=stream)
    logs.get_logger("ance").info("hello")
    assert stream.getvalue().count("hello") == 1


def test_python_warnings_become_log_records() -> None:
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure("trainer", "json", stream=stream)
        warnings.warn("old option", stacklevel=1)

    assert json.loads(stream.getvalue())["level"] == "warning"
    assert "old option" in stream.getvalue()
