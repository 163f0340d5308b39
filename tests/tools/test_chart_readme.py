from pathlib import Path

import pytest

from tools.chart_readme import BEGIN, END, ChartError, Key, described_keys, main, undescribed_keys, with_table

VALUES = """\
# A header, which belongs to no key.

# How many.
replicas: 2
# Where it runs.
pod:
  # Labels of a node | or none.
  nodeSelector: {}
  gpu:
    # GPUs.
    count: 0
# Passed on.
context:
  user: 1
"""
README = f"# chart\n\n{BEGIN}\nold\n{END}\n\nlast line\n"


def chart(folder: Path, values: str = VALUES, readme: str = README) -> Path:
    (folder / "values.yaml").write_text(values)
    (folder / "README.md").write_text(readme)
    return folder


def test_a_key_s_description_is_the_comment_above_it() -> None:
    assert list(described_keys(VALUES)) == [
        Key(("replicas",), "How many.", 2),
        Key(("pod",), "Where it runs.", {"nodeSelector": {}, "gpu": {"count": 0}}),
        Key(("pod", "nodeSelector"), "Labels of a node | or none.", {}),
        Key(("pod", "gpu", "count"), "GPUs.", 0),
        Key(("context",), "Passed on.", {"user": 1}),
    ]


def test_the_table_has_a_row_for_each_key_and_a_section_for_each_group() -> None:
    text = with_table(README, VALUES)
    assert text.startswith("# chart\n")
    assert text.endswith(f"{END}\n\nlast line\n")
    assert "old" not in text
    assert "| `replicas` | `2` | How many. |" in text
    assert "### pod\n\nWhere it runs.\n" in text
    assert "| `pod.nodeSelector` | `{}` | Labels of a node \\| or none. |" in text
    assert '| `context` | `{"user": 1}` | Passed on. |' in text
    assert "`pod.gpu`" not in text


def test_a_key_without_a_comment_is_named() -> None:
    values = VALUES.replace("    # GPUs.\n", "").replace("# How many.\n", "")
    assert undescribed_keys(values) == ["replicas", "pod.gpu"]
    with pytest.raises(ChartError, match=r"no comment above replicas, pod\.gpu"):
        with_table(README, values)


def test_a_readme_without_markers_is_an_error() -> None:
    with pytest.raises(ChartError, match="values: begin"):
        with_table("# chart\n", VALUES)


def test_drift_is_found_and_writing_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(chart(tmp_path))
    assert main(["--check", "--chart", folder]) == 1
    assert "Run `python tools/chart_readme.py`" in capsys.readouterr().err
    assert main(["--chart", folder]) == 0
    assert main(["--check", "--chart", folder]) == 0


def test_a_wrong_chart_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = chart(tmp_path, values="replicas: 1\n")
    assert main(["--chart", str(folder)]) == 1
    assert capsys.readouterr().err == "chart_readme: values.yaml: no comment above replicas\n"
