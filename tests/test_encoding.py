"""Texts to batches: every row once an epoch, steps of exactly the batch size, next to no padding, nothing lost."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline import encoding
from pipeline.encoding import Encoded, encode, epoch_batches, micro_batches

TEXTS = [
    "good film",                                # 4 pieces with [CLS] and [SEP]
    "the actor was very good but i love you",   # 11
    "",                                         # 2
    "unknownword",                              # 3
    "bad bad bad",                              # 5
]
LENGTHS = [4, 11, 2, 3, 5]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def skewed_lengths(num_texts: int = 4000) -> np.ndarray:
    """Many short texts and a few long ones, as reviews have: median 20 pieces, the longest 128."""
    return np.clip(np.random.default_rng(0).lognormal(3, 0.8, num_texts), 3, 128).astype(np.int64)


def padding_share(batches: list[np.ndarray], lengths: np.ndarray) -> float:
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    return 1 - lengths.sum() / padded


# Tokenised texts


def test_texts_lie_end_to_end_in_flat_arrays(tokenizer: Any) -> None:
    encoded = encode(TEXTS, tokenizer, 64)
    assert len(encoded) == 5
    assert encoded.lengths.tolist() == LENGTHS
    assert encoded.input_ids.tolist() == [piece for text in TEXTS for piece in tokenizer(text)["input_ids"]]


def test_a_piece_takes_four_bytes_and_a_text_nine_more(tokenizer: Any) -> None:
    encoded = encode(TEXTS * 200, tokenizer, 64)
    assert (encoded.input_ids.dtype, encoded.starts.dtype, encoded.truncated.dtype) == (np.int32, np.int64, np.bool_)
    assert encoded.input_ids.nbytes == 4 * 200 * sum(LENGTHS)
    assert encoded.starts.nbytes + encoded.truncated.nbytes == 9 * 1000 + 8


def test_a_batch_is_what_the_tokenizer_itself_pads(tokenizer: Any) -> None:
    encoded = encode(TEXTS, tokenizer, 64)
    for rows in ([0, 1, 2, 3, 4], [4, 0], [2], [3, 3]):
        expected = tokenizer([TEXTS[row] for row in rows], padding=True, return_tensors="pt")
        batch = encoded.batch(np.array(rows))
        assert torch.equal(batch["input_ids"], expected["input_ids"])
        assert torch.equal(batch["attention_mask"], expected["attention_mask"])


def test_padding_is_the_padding_token_of_the_tokenizer_even_where_that_is_not_0() -> None:
    encoded = Encoded(np.array([5, 6, 7], np.int32), np.array([0, 1, 3]), np.array([False, False]), pad_token_id=9)
    batch = encoded.batch(np.array([0, 1]))
    assert batch["input_ids"].tolist() == [[5, 9], [6, 7]]
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("max_length, truncated", [(11, False), (10, True)])
def test_a_text_is_truncated_only_when_it_has_more_pieces_than_max_length(
    tokenizer: Any, max_length: int, truncated: bool
) -> None:
    encoded = encode(TEXTS, tokenizer, max_length)
    assert encoded.truncated.tolist() == [False, truncated, False, False, False]
    assert encoded.lengths.tolist() == [4, max_length, 2, 3, 5]
    assert encoded.input_ids[encoded.starts[2] - 1] == tokenizer.sep_token_id      # the special pieces stay


def test_a_slow_tokenizer_which_does_not_tell_what_it_cut_off_gives_the_same(tokenizer: Any) -> None:
    class Slow:
        is_fast = False
        pad_token_id = tokenizer.pad_token_id

        def __call__(self, texts: list[str], **arguments: Any) -> dict[str, Any]:
            return {"input_ids": tokenizer(texts, **arguments)["input_ids"]}

    fast, slow = encode(TEXTS, tokenizer, 5), encode(TEXTS, Slow(), 5)      # type: ignore[arg-type]
    assert slow.truncated.tolist() == fast.truncated.tolist() == [False, True, False, False, False]
    assert slow.input_ids.tolist() == fast.input_ids.tolist()


def test_texts_of_an_arrow_column_are_encoded_like_those_of_a_list(tokenizer: Any) -> None:
    column = pa.chunked_array([TEXTS[:2], TEXTS[2:]])
    from_list, from_column = encode(TEXTS, tokenizer, 64), encode(column, tokenizer, 64)
    assert from_column.input_ids.tolist() == from_list.input_ids.tolist()
    assert from_column.starts.tolist() == from_list.starts.tolist()


@pytest.mark.parametrize("texts_per_call", [1, 2, 5])
def test_texts_tokenised_in_several_calls_are_those_of_one_call(
    tokenizer: Any, texts_per_call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encode(TEXTS, tokenizer, 5)
    monkeypatch.setattr(encoding, "TEXTS_PER_CALL", texts_per_call)
    parts = encode(TEXTS, tokenizer, 5)
    assert parts.input_ids.tolist() == whole.input_ids.tolist()
    assert parts.starts.tolist() == whole.starts.tolist()
    assert parts.truncated.tolist() == whole.truncated.tolist()


def test_no_texts_are_no_pieces(tokenizer: Any) -> None:
    encoded = encode([], tokenizer, 64)
    assert (len(encoded), len(encoded.input_ids), len(encoded.lengths)) == (0, 0, 0)


# The steps of an epoch


@pytest.mark.parametrize("num_texts, batch_size", [(1, 32), (31, 32), (32, 32), (33, 32), (1000, 7), (4000, 32)])
def test_an_epoch_has_every_row_exactly_once(num_texts: int, batch_size: int) -> None:
    batches = epoch_batches(skewed_lengths(num_texts), batch_size, seed=1, epoch=0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(num_texts))


@pytest.mark.parametrize("num_texts, batch_size", [(1, 32), (31, 32), (32, 32), (33, 32), (1000, 7), (4000, 32)])
def test_every_step_has_exactly_batch_size_rows_but_for_one_left_over(num_texts: int, batch_size: int) -> None:
    sizes = [len(batch) for batch in epoch_batches(skewed_lengths(num_texts), batch_size, seed=1, epoch=0)]
    assert len(sizes) == math.ceil(num_texts / batch_size)
    assert sorted(sizes)[1:] == [batch_size] * (len(sizes) - 1)


def test_the_order_comes_from_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(skewed_lengths(), 32, seed, epoch)).tolist()

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(2, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 2) != order(2, 1)


def test_rows_that_share_a_step_part_in_the_next_epoch() -> None:
    lengths = skewed_lengths()
    first, second = (epoch_batches(lengths, 32, seed=1, epoch=epoch) for epoch in (0, 1))
    seats = {row: index for index, batch in enumerate(second) for row in batch.tolist()}
    shared = [max(np.bincount([seats[row] for row in batch.tolist()])) / len(batch) for batch in first]
    assert np.mean(shared) < 0.5


def test_padding_is_a_small_part_of_what_random_batches_need() -> None:
    lengths = skewed_lengths()
    order = np.random.default_rng(0).permutation(len(lengths))
    at_random = padding_share([order[first : first + 32] for first in range(0, len(order), 32)], lengths)
    bucketed = padding_share(epoch_batches(lengths, 32, seed=1, epoch=0), lengths)
    assert at_random > 0.5
    assert bucketed < 0.1


def test_short_texts_do_not_come_first() -> None:
    lengths = skewed_lengths()
    means = [lengths[batch].mean() for batch in epoch_batches(lengths, 32, seed=1, epoch=0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


# The pieces of a step


@pytest.mark.parametrize("lengths, max_tokens, expected", [
    ([2, 2, 2, 2], 8, [[0, 1, 2, 3]]),              # all fit
    ([2, 2, 2, 2], 7, [[0, 1, 2], [3]]),
    ([2, 2, 2, 2], 4, [[0, 1], [2, 3]]),
    ([3, 1, 2], 4, [[1, 2], [0]]),                  # sorted by length; 2 x 2, padding counted
    ([1, 1, 1, 9], 9, [[0, 1, 2], [3]]),            # 4 x 9 would be mostly padding
    ([20, 1, 1], 9, [[1, 2], [0]]),                 # longer than the budget: alone
    ([20, 30], 9, [[0], [1]]),
    ([], 9, []),
])
def test_a_step_is_cut_into_parts_of_at_most_max_tokens(
    lengths: list[int], max_tokens: int, expected: list[list[int]]
) -> None:
    parts = micro_batches(np.arange(len(lengths)), np.array(lengths, dtype=np.int64), max_tokens)
    assert [part.tolist() for part in parts] == expected


@pytest.mark.parametrize("max_tokens", [8, 64, 500, 8192])
def test_parts_cover_the_rows_of_a_step_once_and_keep_the_budget(max_tokens: int) -> None:
    lengths = skewed_lengths()
    rows = np.random.default_rng(3).permutation(len(lengths))[:100]
    parts = list(micro_batches(rows, lengths, max_tokens))
    assert sorted(np.concatenate(parts).tolist()) == sorted(rows.tolist())
    assert all(len(part) == 1 or len(part) * lengths[part].max() <= max_tokens for part in parts)


def test_no_part_could_have_taken_one_row_more() -> None:
    lengths = skewed_lengths()
    parts = list(micro_batches(np.arange(100), lengths, 500))
    for part, following in pairwise(parts):
        assert (len(part) + 1) * lengths[following[0]] > 500
