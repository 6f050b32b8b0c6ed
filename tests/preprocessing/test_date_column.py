import datetime

import numpy as np
import pyarrow as pa
import pytest

from kfc.errors import DataError, SpecError
from kfc.preprocessing.column_encoding import row_place
from kfc.preprocessing.date_column import DateColumn


def dates(*values):
    read = [v if v is None else datetime.datetime.fromisoformat(v) for v in values]
    return pa.chunked_array([pa.array(read, pa.timestamp("us"))])


def test_a_date_becomes_its_parts_less_their_means():
    column = DateColumn.fit("on", dates("2024-02-28", "2024-03-01"))
    assert column.number_names == ("on days", "on year", "on month", "on day of week")
    np.testing.assert_array_equal(
        column.apply(dates("2024-02-29", "2023-12-31", None)),
        [[0, 0, -0.5, 0], [-60, -1, 9.5, 3], [0, 0, 0, 0]],
    )


def test_a_time_of_day_adds_the_hour():
    column = DateColumn.fit("on", dates("2024-01-01T12:30", "2024-01-01T18:30", None))
    assert column.number_names[-1] == "on hour"
    np.testing.assert_array_equal(
        column.apply(dates("2024-01-02T03:30", None))[:, [0, 4, 5]], [[0.5, -12, 0], [0, 0, 1]]
    )


def test_a_date_before_1970_has_its_own_day():
    column = DateColumn.fit("on", dates("1969-12-31T23:00", "1969-12-31T23:00"))
    # A Wednesday, whose number is 2.
    assert column.centers == pytest.approx((-1 / 24, 1969, 12, 2, 23), rel=1e-12)


def test_a_year_of_five_digits_is_named():
    far = pa.chunked_array([pa.array([0, 2**60], pa.timestamp("us"))])
    with pytest.raises(DataError, match=r"row 1, column 'on': .*got the year 38504"):
        DateColumn.fit("on", far)


@pytest.mark.parametrize("form", ["%d/%m", "%d/%m/%y", "%Y-%Y", "%Y1", "%B %Y", "%Y%", "%Y%%"])
def test_a_format_that_cannot_be_read_is_named(form):
    with pytest.raises(SpecError, match=r"data\.columns\.on\.format: expected a format"):
        DateColumn.fit("on", dates("2024-01-01"), form)


@pytest.mark.parametrize(
    ("form", "values", "text"),
    [
        (None, ("2024-01-02", None), [b"2024-01-02", b""]),
        (None, ("0999-01-02T03:04:05",), [b"0999-01-02T03:04:05.000000"]),
        ("%d.%m.%Y", ("2024-01-02", None), [b"02.01.2024", b""]),
        ("%Y%m%d%H%M%S", ("1924-01-02T03:04:05",), [b"19240102030405"]),
    ],
)
def test_the_model_takes_dates_as_text_in_their_format(form, values, text):
    column = DateColumn.fit("on", dates(*values), form)
    assert column.raw_input(dates(*values), row_place).numpy().tolist() == text


def test_dates_in_parts_are_learned_as_a_whole():
    days = np.random.default_rng(0).integers(0, 20_000, 90).astype("M8[D]").astype(str)
    parts = [dates(*days[:40]), dates(None, *days[40:]), dates()]
    column = DateColumn.fit("on", parts)
    whole = DateColumn.fit("on", dates(*days, None))
    assert column.gaps
    assert column.number_names == whole.number_names
    np.testing.assert_allclose(column.centers, whole.centers, rtol=1e-14)


def test_a_date_of_a_later_part_is_named_by_its_row_in_the_column():
    bad = pa.chunked_array([pa.array([-(10**18)], pa.timestamp("us"))])
    with pytest.raises(DataError, match="row 2, column 'on'"):
        DateColumn.fit("on", [dates("2024-01-01", "2024-01-02"), bad])
