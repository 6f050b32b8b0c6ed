import kfc
from kfc.runs.description import described, described_as_html

SMALL = {"training.epochs": 1, "network.hidden": [8], "training.engine": "graph"}


def test_facts_are_lines_below_a_title():
    assert described("Run 1", {"a": "x", "long": "y"}) == "Run 1\n  a     x\n  long  y"


def test_text_of_others_neither_steers_a_terminal_nor_is_html():
    evil = {"<b>": "<script>alert(1)</script>", "\x1b[2J": "line\nbreak"}
    assert "\x1b" not in described("t", evil)
    assert described("t", evil).count("\n") == 2
    html = described_as_html("<i>", evil)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<i>" not in html


def test_a_run_is_described_in_at_most_eight_lines(tmp_path):
    run = kfc.fit("diabetes", overrides=SMALL, runs=tmp_path, verbose=False)
    text = repr(run)
    assert text.startswith("Run 0001-diabetes\n")
    assert len(text.splitlines()) <= 8
    assert f"{run.metrics['test_r2']:.4f}" in text
    assert str(run.folder) in run._repr_html_()
