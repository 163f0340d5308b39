"""Token-budget batches and their arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens
from ance.model.batching import collate, pack, text_lengths, token_budget_batches

SPECIAL = SpecialTokens(prefix=(101,), suffix=(102,), pad_id=0)
TOKENS = Ragged(np.arange(1, 11, dtype=np.uint16), np.array([0, 3, 3, 4, 10]))


@given(st.lists(st.integers(0, 600), max_size=60), st.integers(1, 2000))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    array = np.array(lengths, np.int64)
    batches = token_budget_batches(array, budget)
    order = np.concatenate([*batches, np.empty(0, np.int64)])
    assert sorted(order) == list(range(len(lengths)))
    assert all(np.diff(array[order]) <= 0)
    assert all(len(batch) == 1 or len(batch) * array[batch].max() <= budget for batch in batches)


def test_a_batch_is_filled_up_to_the_budget() -> None:
    batches = token_budget_batches(np.array([4, 10, 4, 4, 6]), 12)
    assert [batch.tolist() for batch in batches] == [[1], [4, 0], [2, 3]]


def test_collate_surrounds_cuts_and_pads() -> None:
    input_ids, mask = collate(TOKENS, np.array([3, 1, 0]), SPECIAL, max_tokens=6)
    assert input_ids.tolist() == [[101, 5, 6, 7, 8, 102], [101, 102, 0, 0, 0, 0], [101, 1, 2, 3, 102, 0]]
    assert mask.tolist() == [[1] * 6, [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0]]


def test_collate_keeps_the_order_and_repeats_of_rows() -> None:
    input_ids, _ = collate(TOKENS, np.array([2, 0, 2]), SPECIAL, max_tokens=6)
    assert input_ids[:, 1].tolist() == [4, 1, 4]


def test_several_special_tokens_take_their_places() -> None:
    special = SpecialTokens(prefix=(101, 7), suffix=(102, 103, 104), pad_id=9)
    ids, lengths = pack(TOKENS, np.array([0, 3]), special, max_tokens=8)
    assert ids.tolist() == [101, 7, 1, 2, 3, 102, 103, 104, 101, 7, 5, 6, 7, 102, 103, 104]
    assert lengths.tolist() == [8, 8]


def test_no_special_tokens_are_needed() -> None:
    ids, _ = pack(TOKENS, np.array([2, 0]), SpecialTokens((), (), 0), max_tokens=2)
    assert ids.tolist() == [4, 1, 2]


def test_no_rows_make_an_empty_batch() -> None:
    rows = np.empty(0, np.int64)
    assert token_budget_batches(text_lengths(TOKENS, rows, SPECIAL, 6), 100) == []
    assert collate(TOKENS, rows, SPECIAL, 6)[0].shape == (0, 0)


def test_the_width_of_a_batch_is_rounded_up_but_not_beyond_the_longest_allowed() -> None:
    rows = np.array([0, 1])  # 3 and 0 content tokens
    assert collate(TOKENS, rows, SPECIAL, 10, multiple=4)[0].shape == (2, 8)
    assert collate(TOKENS, rows, SPECIAL, 6, multiple=4)[0].shape == (2, 6)
    assert collate(TOKENS, rows, SPECIAL, 10, multiple=4)[1].sum(1).tolist() == [5, 2]
