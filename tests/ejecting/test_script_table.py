import pytest

import kfc

kfc.fit  # noqa: B018 - imports TensorFlow the quiet way
from kfc.ejecting.script import eject  # noqa: E402


def spec_of(path, **data):
    return {
        "data": {"source": f"csv:{path}", "target": "late", **data},
        "network": {"hidden": [4]},
    }


def changed(path, folder, change):
    """Returns a copy of a CSV file, whose text `change` has changed."""
    copy = folder / "changed.csv"
    copy.write_bytes(change(path.read_text("utf-8")).encode())
    return copy


def test_a_script_names_the_columns_and_no_pandas(customers):
    script = eject(spec_of(customers))
    assert '["id", "late"]' in script
    assert '["fee", "visits"]' in script
    assert '["senior"]' in script
    assert "pandas" not in script
    assert "kfc." not in script


def test_a_byte_order_mark_and_words_of_missing_cells_are_read(customers, tmp_path):
    def change(text):
        return "\ufeff" + text.replace('"', "").replace(",,", ",NA,")

    path = changed(customers, tmp_path, change)
    script = eject(spec_of(path, csv={"missing_values": ["NA"]}))
    assert 'encoding="utf-8-sig"' in script
    assert 'column[np.isin(column, ["NA"])] = ""' in script


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"columns": {"plan": {"type": "category", "encoder": "embedding"}}}, "plan.encoder"),
        ({"columns": {"plan": {"type": "category", "min_count": 60}}}, "plan.min_count"),
        ({"columns": {"id": {"type": "date", "format": "%Y"}}}, "id"),
    ],
)
def test_a_column_that_takes_too_many_lines_is_refused_by_its_key(
    data, where, customers, tmp_path
):
    def change(text):
        head, *rows = text.splitlines()
        return "\n".join(
            [head, *(f"{2000 + i}{row[row.index(',') :]}" for i, row in enumerate(rows))]
        )

    with pytest.raises(kfc.SpecError) as caught:
        eject(spec_of(changed(customers, tmp_path, change), **data))
    assert caught.value.findings[0].where == f"data.columns.{where}"


def test_a_boolean_with_gaps_is_refused(customers, tmp_path):
    path = changed(customers, tmp_path, lambda text: text.replace('"no",', ",", 30))
    with pytest.raises(kfc.SpecError, match=r"data\.columns\.senior: .*without gaps"):
        eject(spec_of(path, columns={"senior": "boolean"}))


def test_a_file_that_python_reads_in_another_way_is_refused(customers, tmp_path):
    # Python's csv module does not say that a cell was quoted, as text is.
    path = changed(customers, tmp_path, lambda text: text.replace('"plus"', '"NA"', 5))
    with pytest.raises(kfc.SpecError, match=r"csv module reads as kfc does.*other inputs"):
        eject(spec_of(path, csv={"missing_values": ["NA"]}))


def test_a_table_that_is_not_one_file_is_refused(customers, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "1.csv").write_bytes(customers.read_bytes())
    with pytest.raises(kfc.SpecError, match="a single file"):
        eject(spec_of(folder))
    with pytest.raises(kfc.SpecError, match=r"data\.test: expected test rows of the same"):
        eject(spec_of(customers, test=f"csv:{customers}"))
