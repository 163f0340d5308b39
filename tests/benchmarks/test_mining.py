"""The claim that mining takes no more memory for a larger corpus."""

from __future__ import annotations

import pytest

from benchmarks.mining import GROWTH, TOLERANCE_MB, Size, is_independent, peaks


@pytest.mark.parametrize(("larger", "independent"), [(100.0 + TOLERANCE_MB, True), (101.0 + TOLERANCE_MB, False)])
def test_only_what_the_allocator_keeps_may_differ(larger: float, independent: bool) -> None:
    memory = {"1x": {"ours": 100.0, "theirs": 50.0}, f"{GROWTH}x": {"ours": larger, "theirs": 400.0}}
    assert is_independent(memory) is independent


def test_the_measurement_tells_a_process_that_holds_the_corpus() -> None:
    small, large = (peaks(Size(64, passages, dim=128, k=5, shard=2048)) for passages in (8_192, GROWTH * 8_192))
    vectors_mb = (GROWTH - 1) * 8_192 * 128 * 4 / 2**20
    assert is_independent({"1x": small, "8x": large})
    assert large["theirs"] - small["theirs"] == pytest.approx(vectors_mb, rel=0.3)
