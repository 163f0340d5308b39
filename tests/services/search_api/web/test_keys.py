import hashlib
from pathlib import Path

import pytest

from ance.errors import AnceError
from services.search_api.web.keys import Access, KeyFile, read_keys

HASH = hashlib.sha256(b"hidden").hexdigest()


def write(path: Path, text: str) -> Path:
    """As Kubernetes replaces a mounted Secret: a new file under the old name."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "keys", f"# of the team\nread one\n\nadmin two # the owner\nread sha256:{HASH}\n")


def test_a_key_opens_what_its_line_says_and_a_hash_stands_for_its_key(path: Path) -> None:
    keys = KeyFile(path)
    granted = [keys.access(key) for key in ("one", "two", "hidden")]
    assert granted == [Access.READ, Access.ADMIN, Access.READ]


@pytest.mark.parametrize("wrong", ["", "on", "onee", "ONE", "\ud800", HASH, f"sha256:{HASH}", "# of the team"])
def test_anything_else_opens_nothing(path: Path, wrong: str) -> None:
    assert KeyFile(path).access(wrong) is Access.NONE


def test_a_changed_file_is_reloaded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.search_api.web.keys.CHECK_SECONDS", 0.0)
    keys = KeyFile(path)
    write(path, "read three\n")
    assert (keys.access("one"), keys.access("three")) == (Access.NONE, Access.READ)


def test_while_a_changed_file_is_wrong_the_keys_before_stay(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("services.search_api.web.keys.CHECK_SECONDS", 0.0)
    keys = KeyFile(path)
    write(path, "owner three\n")
    assert keys.access("one") is Access.READ
    path.unlink()
    assert keys.access("one") is Access.READ
    assert "stay valid" in caplog.text and "three" not in caplog.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no key"),
        ("# nothing\n", "no key"),
        ("read one\nsecret\n", ":2: expected"),
        ("root secret\n", ":1: expected"),
        ("read secret more\n", ":1: expected"),
        ("read sha256:secret\n", "64 hexadecimal"),
        ("read sha256:ab\n", "64 hexadecimal"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_line_and_no_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(AnceError, match=problem) as error:
        read_keys(write(tmp_path / "keys", text))
    assert "secret" not in str(error.value).replace(str(tmp_path), "")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match="cannot be read"):
        read_keys(tmp_path / "nowhere")
