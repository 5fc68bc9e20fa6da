"""How do texts become batches with next to no padding? Tokenise once into flat arrays, then group like lengths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

TEXTS_PER_CALL = 10_000         # bounds the Python lists that a tokenizer returns
BATCHES_PER_POOL = 50           # texts are sorted by length within a pool of this many batches


@dataclass(frozen=True)
class Encoded:
    """N tokenised texts, end to end in one array: a million short texts take about 100 MB.

    token_type_ids are left out: for single texts they are all 0, which every encoder takes as its default.
    """

    input_ids: np.ndarray       # (total pieces,) int32
    starts: np.ndarray          # (N + 1,) int64; text i is input_ids[starts[i] : starts[i + 1]]
    truncated: np.ndarray       # (N,) bool
    pad_token_id: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Pieces per text, special ones counted, (N,)."""
        return np.diff(self.starts)

    def take(self, rows: np.ndarray) -> Encoded:
        """Some of the texts, in this order."""
        parts = [self.input_ids[self.starts[row] : self.starts[row + 1]] for row in rows]
        starts = np.concatenate([[0], np.cumsum(self.lengths[rows], dtype=np.int64)])
        ids = np.concatenate(parts) if parts else np.empty(0, np.int32)
        return Encoded(ids, starts, self.truncated[rows], self.pad_token_id)

    def batch(self, rows: np.ndarray, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
        """input_ids and attention_mask, (B, T) int64, padded on the right to the longest of these rows."""
        import torch

        lengths = self.lengths[rows]
        mask = np.arange(lengths.max(initial=1)) < lengths[:, None]                      # (B, T)
        input_ids = np.full(mask.shape, self.pad_token_id, dtype=np.int64)
        input_ids[mask] = np.concatenate([self.input_ids[self.starts[row] : self.starts[row + 1]] for row in rows])
        return {
            "input_ids": torch.from_numpy(input_ids).to(device, non_blocking=True),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)).to(device, non_blocking=True),
        }


def encode(
    texts: pa.ChunkedArray | pa.Array | list[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Encoded:
    """Tokenise N texts, each to at most `max_length` pieces with its special ones."""
    pieces: list[np.ndarray] = []
    lengths: list[int] = []
    truncated: list[bool] = []
    for start in range(0, len(texts), TEXTS_PER_CALL):
        chunk = texts[start : start + TEXTS_PER_CALL]
        strings = chunk if isinstance(chunk, list) else chunk.to_pylist()
        ids, cut = _tokenise(strings, tokenizer, max_length)
        lengths += map(len, ids)
        truncated += cut
        pieces.append(np.fromiter((piece for text in ids for piece in text), dtype=np.int32))
    return Encoded(
        input_ids=np.concatenate(pieces) if pieces else np.empty(0, np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        truncated=np.array(truncated, dtype=bool),
        pad_token_id=int(tokenizer.pad_token_id),
    )


def _tokenise(texts: list[str], tokenizer: Any, max_length: int) -> tuple[list[list[int]], list[bool]]:
    if not tokenizer.is_fast:           # a slow tokenizer does not report what it cut off
        cut = [len(ids) > max_length for ids in tokenizer(texts, verbose=False)["input_ids"]]
        return tokenizer(texts, truncation=True, max_length=max_length)["input_ids"], cut
    encoded = tokenizer(texts, truncation=True, max_length=max_length)
    return encoded["input_ids"], [bool(encoding.overflowing) for encoding in encoded.encodings]


def epoch_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The steps of one epoch: every row exactly once, `batch_size` rows a step (the one left-over step is smaller).

    Rows are shuffled, sorted by length within pools of 50 batches, and the batches shuffled: texts of like length
    share a batch, the order still comes from (seed, epoch) alone.
    Source: Khomenko et al. 2017, https://arxiv.org/abs/1708.05604 (sequence bucketing).
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), batch_size * BATCHES_PER_POOL):
        pool = order[start : start + batch_size * BATCHES_PER_POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def micro_batches(rows: np.ndarray, lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Cut rows, sorted by length first, into parts of at most `max_tokens` pieces with padding, or of one row."""
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    first = 0
    for last in range(1, len(rows) + 1):
        # Sorted: the next row is the longest, so it decides the padded width of the piece it would join.
        if last == len(rows) or (last - first + 1) * lengths[rows[last]] > max_tokens:
            yield rows[first:last]
            first = last
