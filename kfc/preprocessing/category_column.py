"""Encoding of a column of categories."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.errors import Finding, SpecError
from kfc.preprocessing.category_texts import one_text, other_texts
from kfc.preprocessing.column_encoding import (
    Block,
    Code,
    Column,
    ColumnEncoding,
    Place,
    parts_of,
    text_input,
)
from kfc.preprocessing.merged_statistics import merged_counts
from kfc.spec import CategoriesSpec, ColumnSpec

if TYPE_CHECKING:
    import keras

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_MOST_EXACT = 2**24 - 1  # `Model.predict` makes float64 arrays float32, which skip integers
_MOST_SLOTS = 2**24  # beyond it float32 skips integers


@dataclass(frozen=True)
class CategoryColumn(ColumnEncoding):
    """Encodes categories as codes: a slot for each, for missing ones and for rare ones.

    The codes 1 to n are those of the vocabulary; one for missing values follows if the
    training rows had any, and one for others if rare values were merged into it. A value
    that training has not seen gets the code of others, or else 0; so does a missing one
    where the training rows had none. An empty text is a missing value. In a graph, `1.0` is
    `1` as in every table that kfc reads, see `category_texts`.

    Args:
        name: Name of the column.
        gaps: Whether the training rows had missing values.
        vocabulary: Values with a slot of their own, by frequency, then by text.
        rare: Values of the training rows that share the slot of others.
        embedding_size: Length of an embedding, or None for one-hot.
        sign: Whether two values are one input of the network, 1 or -1, in place of two.
    """

    vocabulary: tuple[str, ...]
    rare: tuple[str, ...]
    embedding_size: int | None
    sign: bool = False

    @classmethod
    def fit(
        cls,
        name: str,
        values: Column,
        column: ColumnSpec,
        categories: CategoriesSpec,
    ) -> Self:
        """Learns the vocabulary from training rows.

        Args:
            name: Name of the column.
            values: The column, a dictionary of text, with null for a missing value; in parts
                where it does not fit into memory.
            column: Options of this column.
            categories: Options of all columns, where the column has none.

        Raises:
            SpecError: If there are more categories than a network can tell apart.
        """
        texts, counts, missing = _counts(parts_of(values))
        # Arrow sorts the bytes of UTF-8, which is the order of Python's texts; the second sort
        # keeps it among texts of the same count.
        order = pc.array_sort_indices(texts).to_numpy()
        order = order[np.argsort(-counts[order], kind="stable")]
        order = order[counts[order] > 0]
        least = column.min_count or categories.min_count
        frequent = int(np.count_nonzero(counts[order] >= least))
        counted = texts.take(pa.array(order)).to_pylist()
        vocabulary, rare = tuple(counted[:frequent]), tuple(counted[frequent:])
        encoding = cls(name, missing > 0, vocabulary, rare, None)
        slots = encoding.num_slots
        if slots >= _MOST_SLOTS:
            raise SpecError(
                Finding(
                    f"data.columns.{name}",
                    f"fewer than {_MOST_SLOTS:,} categories",
                    f"{slots:,}",
                    "Use min_count, or the type ignore.",
                )
            )
        encoder = column.encoder or categories.encoder
        if encoder == "one_hot" or (encoder == "auto" and slots <= categories.max_one_hot):
            two = slots == len(vocabulary) == 2
            return replace(encoding, sign=two and categories.binary == "sign")
        size = column.embedding_size or categories.embedding_size
        return cls(name, encoding.gaps, vocabulary, rare, size)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Returns the encoding whose `get_config` is given."""
        texts = {key: tuple(config[key]) for key in ("vocabulary", "rare")}
        return cls(**{**config, **texts})

    def get_config(self) -> dict[str, Any]:
        """Returns the learned values as plain ones, for JSON."""
        return {
            "name": self.name,
            "gaps": self.gaps,
            "vocabulary": list(self.vocabulary),
            "rare": list(self.rare),
            "embedding_size": self.embedding_size,
            **({"sign": True} if self.sign else {}),
        }

    @property
    def num_slots(self) -> int:
        """Number of codes that training rows have."""
        return len(self.vocabulary) + self.gaps + bool(self.rare)

    @property
    def other_code(self) -> int:
        """Code of a value that training has not seen: a trained slot, or 0."""
        return self.num_slots if self.rare else 0

    @property
    def missing_code(self) -> int:
        """Code of a missing value: a trained slot, or the code of others."""
        return len(self.vocabulary) + 1 if self.gaps else self.other_code

    @property
    def flag_names(self) -> tuple[str, ...]:
        """No flags: a missing category has a slot of its own."""
        return ()

    @property
    def codes(self) -> tuple[Code, ...]:
        """The code of the category."""
        return (Code(self.name, self.num_slots, self.embedding_size, self.sign),)

    def write(
        self, values: pa.ChunkedArray, features: Sequence[np.ndarray], place: Place
    ) -> None:
        """Writes the codes."""
        texts, indices = _dictionary(values)
        numbers = _table(texts, self._vocabulary)
        known = len(self.vocabulary)
        codes = np.append(np.arange(1, known + 1), [self.missing_code, self.other_code])
        features[0][:] = codes.astype(np.float32)[numbers][indices]

    def unknown_rows(self, values: pa.ChunkedArray) -> np.ndarray:
        """Returns whether the value of each row is one that training has not seen.

        Args:
            values: The column, a dictionary of text, with null for a missing value.

        Returns:
            A mask, (rows,), bool; False for missing values.
        """
        texts, indices = _dictionary(values)
        numbers = _table(texts, self._seen)
        return np.asarray((numbers > len(self._seen))[indices])

    @cached_property
    def _vocabulary(self) -> pa.Array:
        return pa.array(self.vocabulary, pa.string())

    @cached_property
    def _seen(self) -> pa.Array:
        return pa.array(self.vocabulary + self.rare, pa.string())

    # --- in a graph ----------------------------------------------------------------------

    @property
    def input_dtype(self) -> str:
        """Type of the raw column: an integer if all training values are integers, else text.

        float64 where an integer may be missing.
        """
        return self._input_dtype

    @cached_property
    def _input_dtype(self) -> str:
        seen = self.vocabulary + self.rare
        largest = _MOST_EXACT if self.gaps else 2**63 - 1
        if not seen or any(_integer(text, largest) is None for text in seen):
            return "string"
        return "float64" if self.gaps else "int64"

    @property
    def _spellings(self) -> tuple[list[str], np.ndarray]:
        """The vocabulary, then other texts of its values; and the number of each.

        The numbers are those of a lookup, whose 0 is a missing value and 1 an unknown one.
        """
        words = {word: number for number, word in enumerate(self.vocabulary, start=2)}
        for word in self.vocabulary:
            for other in other_texts(word):
                words.setdefault(other, words[word])
        return [*words], np.array([0, 1, *words.values()], np.int64)

    @cached_property
    def unseen_integer(self) -> int:
        """An integer that no training row has."""
        seen = {int(text) for text in self.vocabulary + self.rare}
        return next(number for number in range(-1, -len(seen) - 2, -1) if number not in seen)

    def raw_input(self, values: pa.ChunkedArray, place: Place) -> Any:
        """Returns the column, (rows,), as integers or as text."""
        if self.input_dtype == "string":
            return text_input(values)
        texts, indices = _dictionary(values)
        is_float = self.input_dtype == "float64"
        largest = _MOST_EXACT if is_float else 2**63 - 1
        read = (_integer(text, largest) for text in texts.to_pylist())
        numbers = [self.unseen_integer if number is None else number for number in read]
        numbers.append(self.unseen_integer)  # of a missing value
        found = np.array(numbers, self.input_dtype)
        if is_float:
            found[_table(texts, texts) == len(texts)] = np.nan
        return found[indices]

    @classmethod
    def graph(
        cls, columns: Sequence[Self], inputs: Sequence[keras.KerasTensor]
    ) -> list[Block]:
        """Returns the codes of several columns from their raw inputs."""
        import keras

        ops = keras.ops
        # 0 for a missing value, 1 for one that is not in the vocabulary, 2 and more else
        numbers = ops.stack(
            [column._number(raw) for column, raw in zip(columns, inputs, strict=True)], axis=1
        )
        missing = np.array([column.missing_code for column in columns])
        other = np.array([column.other_code for column in columns])
        ends = np.array([2 + len(column.vocabulary) for column in columns])
        known = ops.logical_and(numbers >= 2, numbers < ends)
        codes = ops.where(ops.equal(numbers, 0), missing, ops.where(known, numbers - 1, other))
        keys = [(column.name, 0) for column in columns]
        return [Block(keys, ops.cast(codes, "float32"))]

    def _number(self, raw: keras.KerasTensor) -> keras.KerasTensor:
        import keras

        ops = keras.ops
        if self.input_dtype == "string":
            # A lookup needs a value, and a word for unknown ones that is not a value.
            unknown = "[UNK]"
            while unknown in self.vocabulary:
                unknown += "_"
            words, numbers = self._spellings
            number = keras.layers.StringLookup(
                vocabulary=words or [f"{unknown}_"], mask_token="", oov_token=unknown
            )(raw)
            # The other texts follow the vocabulary, and take the number of their value.
            return ops.take(numbers, number) if len(words) > len(self.vocabulary) else number
        unseen = self.unseen_integer
        lookup = keras.layers.IntegerLookup(
            vocabulary=[int(text) for text in self.vocabulary] or [unseen - 1],
            oov_token=unseen,
        )
        if self.input_dtype == "int64":
            return lookup(raw) + 1
        exact = ops.logical_and(
            ops.equal(ops.floor(raw), raw), ops.abs(raw) <= float(_MOST_EXACT)
        )
        integers = ops.cast(ops.where(exact, raw, float(unseen)), "int64")
        return ops.where(ops.isnan(raw), 0, lookup(integers) + 1)


def _integer(text: str | None, largest: int) -> int | None:
    """Returns the integer whose one canonical text is given, up to a size, or None."""
    if text is None or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if abs(number) <= largest else None


def _dictionary(values: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Returns the different texts of a column, and the number of each row's text.

    The number of a missing value is the number of texts.
    """
    if not pa.types.is_dictionary(values.type):
        values = values.cast(pa.string()).dictionary_encode()
    if not values.num_chunks:
        return pa.array([], pa.string()), np.zeros(0, np.int64)
    first = values.chunk(0).dictionary
    if not all(chunk.dictionary.equals(first) for chunk in values.chunks):
        values = values.unify_dictionaries()
    texts = one_text(values.chunk(0).dictionary.cast(pa.string()))
    indices = [
        # The number of a missing text may be beyond the type of the indices, such as int8.
        chunk.indices.cast(pa.int32()).fill_null(len(texts)).to_numpy()
        for chunk in values.chunks
    ]
    return texts, np.concatenate(indices)


def _counts(parts: Sequence[pa.ChunkedArray]) -> tuple[pa.Array, np.ndarray, int]:
    """Returns the different texts of a column, the rows of each, and those without a value."""
    missing, found = 0, []
    for part in parts:
        texts, indices = _dictionary(part)
        counts = np.bincount(_table(texts, texts)[indices], minlength=len(texts) + 1)
        missing += int(counts[len(texts)])
        used = np.flatnonzero(counts[: len(texts)])
        found.append((texts.take(pa.array(used)), counts[used]))
    return *merged_counts(found), missing


def _table(texts: pa.Array, vocabulary: pa.Array) -> np.ndarray:
    """Returns the number of each text in a vocabulary, (texts + 1,).

    The number of a missing text, as of the additional last one, is the vocabulary's length;
    that of any other text is the length plus one.
    """
    size = len(vocabulary)
    found = pc.index_in(texts, vocabulary).fill_null(size + 1).to_numpy()
    blank = pc.fill_null(pc.equal(texts, ""), True).to_numpy(zero_copy_only=False)
    return np.append(np.where(blank, size, found), size)
