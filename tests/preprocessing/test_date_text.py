"""Texts that a graph reads as dates, or refuses as NaN."""

import datetime

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from kfc.data.tables.date_texts import read_dates
from kfc.preprocessing.date_text import DateText

ISO = {
    "2024-02-29": "2024-02-29",
    "2024-02-29T23:59": "2024-02-29T23:59",
    "2024-02-29 23:59:58": "2024-02-29T23:59:58",
    "2024-02-29T23:59:58Z": "2024-02-29T23:59:58",
    "2024-02-29T23:59Z": "2024-02-29T23:59",
    "2024-02-29T23:59:58.25": "2024-02-29T23:59:58.250000",
    "2024-02-29T23:59:58.123456789Z": "2024-02-29T23:59:58.123456",
    "2024-02-29T23": "2024-02-29T23:00",
    "2024-02-29 23Z": "2024-02-29T23:00",
    "2024-02-29T23:59+02:00": "2024-02-29T21:59",
    "2024-02-29T23:59:58-02": "2024-03-01T01:59:58",
    "2024-02-29T01:00:00.5+0230": "2024-02-28T22:30:00.500000",
    "2023-12-31T23:30:00.123456789-23:59": "2024-01-01T23:29:00.123456",
    "0001-01-01T02:00+02": "0001-01-01T00:00",
    "2000-02-29": "2000-02-29",
    "0001-01-01": "0001-01-01",
    "9999-12-31T23:59:59.999999": "9999-12-31T23:59:59.999999",
}
NO_ISO = [
    *("2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-01-00", "2024-04-31"),
    *("0000-01-01", "2024-1-01", "2024-01-011", "2024-01-01T", "2024-01-01Z", "2024/01/01"),
    *("2024-01-01T24:00", "2024-01-01T23:60", "2024-01-01T23:59:60", "2024-01-01T1:00"),
    *("2024-01-01T01:00:00.", "2024-01-01T01:00:00.Z", "2024-01-01T01:00:00Zx", "x", " "),
    *(
        "2024-01-01T01:00:00.1234567890",
        "2024-01-01T01:00:00.123456789ZZ",
        "\uff12\uff10\uff12\uff14-01-01",
    ),
    *("-024-01-01", "2024-01-01 ", "2024-01-01T0", "2024-01-01T01:", "[UNK]"),
    *("2024-01-01+01:00", "2024-01-01T01:00+24:00", "2024-01-01T01:00+01:60", "+01:00"),
    *("2024-01-01T01:00+1", "2024-01-01T01:00+1:00", "2024-01-01T01:00+01:0", "2024-01+01:00"),
    *("2024-01-01T01:00+010", "2024-01-01T01:00+01:000", "2024-01-01T01:00 +01:00"),
    *("2024-01-01T01:00+", "2024-01-01T01:00+01Z", "2024-01-01T01:00ZZ", "2024-01-01T01+01:"),
    *("0001-01-01T00:00+01:00", "9999-12-31T23:30-01:00", "2024-01-01T01:00+01:00:00"),
    *(
        "2024-01-01T01:00:00.123456789+01:000",
        "2024-01-01T01:00-:100",
        "2024-01-01T01:00+0100x",
    ),
]
# Microseconds since 1970 of the years 1 and 10000.
FIRST, END = -62_135_596_800_000_000, 253_402_300_800_000_000
CUSTOM = "%d/%m/%Y at %H"


def read(form, texts):
    """Returns the parts of dates by a graph, valid and missing, each (rows, ...)."""
    column = keras.Input((), dtype="string")
    parts = DateText.of(form, "format").read([column])
    outputs = [keras.ops.concatenate(parts.numbers, axis=1), parts.valid, parts.missing]
    numbers, valid, missing = keras.Model(column, outputs)(tf.constant(texts))
    return numbers.numpy(), valid.numpy().ravel(), missing.numpy().ravel()


def test_iso_dates_are_read():
    numbers, valid, missing = read(None, [*ISO, ""])
    assert valid[:-1].all()
    assert missing.tolist() == [False] * len(ISO) + [True]
    for found, text in zip(numbers[:-1], ISO.values(), strict=True):
        date = datetime.datetime.fromisoformat(text)
        since = date - datetime.datetime(1970, 1, 1)
        time = since.seconds * 1e6 + since.microseconds
        parts = (date.year, date.month, date.weekday(), date.hour)
        assert found.tolist() == [since.days + time / 86.4e9, *parts]


def test_text_that_is_no_iso_date_is_not_valid():
    _, valid, missing = read(None, NO_ISO)
    assert [text for text, v in zip(NO_ISO, valid, strict=True) if v] == []
    assert not missing.any()


@pytest.mark.parametrize("text", [*ISO, *NO_ISO])
def test_a_table_reads_the_iso_texts_that_a_graph_reads(text):
    dates, good = read_dates(pa.array([text]), None)
    if text in ISO:
        assert dates[0].as_py() == datetime.datetime.fromisoformat(ISO[text])
    else:  # blanks around a cell do not matter, and the encoding refuses the other two years
        assert not good[0] or text[-1] == " " or not FIRST <= dates[0].value < END


def test_each_day_of_four_centuries_is_read():
    days = np.arange(-25_567, 146_097 - 25_567)  # from 1900
    numbers, valid, _ = read(None, days.astype("M8[D]").astype(str).tolist())
    assert valid.all()
    np.testing.assert_array_equal(numbers[:, 0], days)


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("29/02/2024 at 13", True),
        ("29/02/2023 at 13", False),
        ("29/02/2024 at 24", False),
        ("29/02/2024 at 1", False),
        ("29/02/2024 at 133", False),
        ("29.02.2024 at 13", False),
        ("2024-02-29", False),
    ],
)
def test_a_format_is_read(text, fine):
    numbers, valid, _ = read(CUSTOM, [text])
    assert valid.tolist() == [fine]
    if fine:
        assert numbers[0].tolist() == [19_782 + 13 / 24, 2024, 2, 3, 13]


def test_a_format_may_lack_month_and_day():
    numbers, valid, _ = read("%Y", ["1970", "70"])
    assert valid.tolist() == [True, False]
    assert numbers[0].tolist() == [0, 1970, 1, 3, 0]
