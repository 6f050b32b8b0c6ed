import dataclasses


def test_a_search_is_shown_in_at_most_eight_lines_of_80_columns(repeated):
    lines = repr(repeated).splitlines()
    assert len(lines) <= 8
    assert all(len(text) <= 80 for text in lines)
    assert lines[0] == "Search of 5 trials for the best val_loss"
    assert f"Winner: trial {repeated.best.number}" in lines[1]


def test_a_notebook_shows_a_search_as_an_escaped_table(repeated):
    other = dataclasses.replace(repeated, sentences=["<script>alert(1)</script>", "a & b"])
    shown = other._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "a &amp; b" in shown
    assert shown.count("<tr>") == 1 + 5 + 1 + len(repeated.metrics)
