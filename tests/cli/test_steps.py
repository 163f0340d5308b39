"""What a person reads while something is trained."""

from __future__ import annotations

import io

from rich.console import Console

from ance.cli.steps import Steps


def test_a_file_gets_a_line_every_tenth_with_the_mean_loss_since_the_last() -> None:
    written = io.StringIO()
    with Steps("reranker", 25, Console(file=written)) as steps:
        for done in range(1, 26):
            steps.show(done, float(done))
    lines = written.getvalue().splitlines()
    assert [line.split(" steps")[0] for line in lines] == [
        f"reranker: {done} of 25" for done in (3, 5, 8, 10, 13, 15, 18, 20, 23, 25)
    ]
    assert "loss 2.000," in lines[0] and "loss 4.500," in lines[1]


def test_fewer_than_ten_steps_have_a_line_each() -> None:
    written = io.StringIO()
    with Steps("reranker", 3, Console(file=written)) as steps:
        for done in (1, 2, 3):
            steps.show(done, 0.5)
    assert len(written.getvalue().splitlines()) == 3


def test_a_terminal_gets_a_bar() -> None:
    written = io.StringIO()
    with Steps("reranker", 4, Console(file=written, force_terminal=True, width=100)) as steps:
        for done in range(1, 5):
            steps.show(done, 1.25)
    assert "4/4" in written.getvalue() and "loss 1.250" in written.getvalue()
    assert "of 4 steps" not in written.getvalue()
