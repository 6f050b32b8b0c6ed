"""Pages of runs are written by `fit` and have the numbers of scikit-learn."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics

import kfc
from kfc import cli
from kfc.reporting.run_facts import RunFacts
from kfc.reporting.run_sections import run_sections

OF_CLASSES = [
    *(
        "result",
        "data",
        "learning",
        "confusion",
        "classes",
        "curves",
        "calibration",
        "mistakes",
    ),
    *("layers", "findings", "spec", "machine"),
]


def keys(html):
    return re.findall(r'<section id="([\w-]+)"', html)


def sections(run, data=None):
    return {each.key: each for each in run_sections(RunFacts.of(run, data=data))}


def column(table, name):
    place = list(table.head).index(name)
    return [row[place] for row in table.cells]


def test_fit_writes_a_page_into_the_folder_of_the_run(digits_run):
    html = (digits_run.folder / "report.html").read_text("utf-8")
    assert [key for key in keys(html) if key != "weights"] == OF_CLASSES
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert len(html) < 3_000_000


def test_a_spec_with_report_false_has_no_page(tmp_path):
    short = {"training.epochs": 1, "report": False}
    run = kfc.fit("digits", overrides=short, runs=tmp_path, verbose=False)
    assert not (run.folder / "report.html").exists()
    assert kfc.report(run).path == run.folder / "report.html"


def test_the_command_writes_the_same_page(digits_run, capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", str(digits_run.folder), "--out", str(tmp_path / "page.html")])
    assert not ended.value.code
    assert "page.html" in capsys.readouterr().out
    written = (tmp_path / "page.html").read_text("utf-8")
    assert written == (digits_run.folder / "report.html").read_text("utf-8")


def test_a_page_that_cannot_be_drawn_loses_no_run(tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("drawn by nobody")

    monkeypatch.setattr("kfc.reporting.report_page.write_finished", broken)
    run = kfc.fit("digits", overrides={"training.epochs": 1}, runs=tmp_path)
    assert kfc.load(run.folder).metrics == run.metrics
    assert "no report.html: ZeroDivisionError('drawn by nobody')" in capsys.readouterr().err


def test_scores_per_class_are_those_of_scikit_learn(digits_run):
    rows = digits_run.rows("test")
    found = metrics.precision_recall_fscore_support(
        rows.y, rows.predictions.label, labels=digits_run.task.class_names
    )
    table = sections(digits_run)["classes"].table("Scores")
    for name, values in zip(("precision", "recall", "F1", "rows"), found, strict=True):
        assert [cell.value for cell in column(table, name)] == values.tolist()
        shown = [cell.text for cell in column(table, name)]
        form = "{:,}" if name == "rows" else "{:.4f}"
        assert shown == [form.format(value) for value in values]


def test_the_matrix_is_that_of_scikit_learn(digits_run):
    rows = digits_run.rows("test")
    names = digits_run.task.class_names
    expected = metrics.confusion_matrix(rows.y, rows.predictions.label, labels=names)
    table = sections(digits_run)["confusion"].table("Number")
    found = [[cell.value for cell in row[1:]] for row in table.cells]
    np.testing.assert_array_equal(found, expected)


def test_areas_are_those_of_scikit_learn(digits_run):
    rows = digits_run.rows("test")
    table = sections(digits_run)["curves"].table("Areas")
    for number, name in enumerate(digits_run.task.class_names):
        score = rows.predictions.probabilities[:, number]
        of_class = rows.y == name
        row = table.cells[number]
        assert row[1].value == metrics.roc_auc_score(of_class, score)
        assert row[2].value == metrics.average_precision_score(of_class, score)


def test_errors_by_decile_are_those_of_scikit_learn(diabetes_run):
    rows = diabetes_run.rows("test")
    y, value = rows.y[:, 0].astype(float), rows.predictions.value[:, 0].astype(float)
    table = sections(diabetes_run)["deciles"].table("Errors")
    parts = np.array_split(np.argsort(y, kind="stable"), 10)
    for part, row in zip(parts, table.cells, strict=True):
        assert row[1].value == len(part)
        assert row[2].value == metrics.mean_absolute_error(y[part], value[part])
        assert row[3].value == metrics.root_mean_squared_error(y[part], value[part])
        assert row[4].value == pytest.approx((value[part] - y[part]).mean())


def test_the_metrics_of_the_page_are_those_of_the_run(diabetes_run):
    table = sections(diabetes_run)["result"].table("Metrics")
    shown = {row[0].text.partition(" (")[0]: row[2].value for row in table.cells}
    assert shown == {
        name.removeprefix("test_"): value
        for name, value in diabetes_run.metrics.items()
        if name.startswith("test_")
    }


def test_a_table_without_its_rows_keeps_the_page_of_fit(table_run, people):
    before = (table_run.folder / "report.html").read_text("utf-8")
    assert "importance" in keys(before)
    assert kfc.report(kfc.load(table_run.folder)).html == before
    assert kfc.report(table_run.folder, data=people).html == before


def test_a_page_stays_whose_rows_are_gone(people, tmp_path):
    table = tmp_path / "people.csv"
    people.to_csv(table, index=False)
    spec = {"data": {"source": f"csv:{table}", "target": "target"}, "training": {"epochs": 2}}
    run = kfc.fit(spec, runs=tmp_path / "runs", verbose=False)
    before = (run.folder / "report.html").read_text("utf-8")
    table.rename(tmp_path / "moved.csv")
    with pytest.raises(kfc.DataError, match="The page is left as it is"):
        kfc.report(run.folder)
    assert (run.folder / "report.html").read_text("utf-8") == before
    without = kfc.report(run.folder, path=tmp_path / "other.html").html
    assert "Without its rows" in without


def test_a_file_is_no_result(tmp_path):
    (tmp_path / "people.yaml").write_text("name: people\n")
    with pytest.raises(kfc.CheckpointError, match="expected the folder of a run, got a file"):
        kfc.report(tmp_path / "people.yaml")


def test_a_page_without_rows_says_so(table_run, tmp_path):
    page = kfc.report(table_run.folder, path=tmp_path / "page.html").html
    assert "answers" in keys(page)
    assert "the rows that this run was given in Python" in page


def test_other_rows_are_refused(table_run, people):
    with pytest.raises(kfc.DataError):
        kfc.report(table_run.folder, data=people.head(300))


def test_the_spec_is_compared_with_that_of_the_run_before(tmp_path):
    options = {"runs": tmp_path, "verbose": False}
    kfc.fit("digits", overrides={"training.epochs": 1, "report": False}, **options)
    changed = {"training.epochs": 1, "network.hidden": [8], "report": False}
    second = kfc.fit("digits", overrides=changed, **options)
    table = sections(second)["spec"].table("Differences")
    assert table.head[1] == "0001-digits"
    assert [row[0].text for row in table.cells] == ["network.hidden"]


@pytest.mark.slow
def test_the_page_of_mnist_is_small_and_has_pictures(idx_datasets, tmp_path):
    short = {"training.epochs": 2, "data.source": f"idx:{idx_datasets / 'mnist'}"}
    run = kfc.fit("mnist", overrides=short, runs=tmp_path, verbose=False)
    html = (run.folder / "report.html").read_text("utf-8")
    assert len(html.encode()) < 3_000_000
    assert html.count('src="data:image/png') == 50 + 32
    assert "Published for MNIST" in html


def test_a_run_links_to_its_page(digits_run, monkeypatch):
    monkeypatch.chdir(digits_run.folder.parent)
    name = digits_run.folder.name
    assert f'<a href="{name}/report.html">report.html</a>' in digits_run._repr_html_()
    assert repr(digits_run).endswith("report.html")
    assert len(repr(digits_run).splitlines()) <= 8


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(digits_run):
    shown = kfc.report(digits_run)._repr_html_()
    assert shown.startswith("<iframe")
    assert "<!doctype" not in shown  # it is escaped


def test_the_page_of_a_run_imports_no_tuner(tmp_path):
    code = (
        "import sys, kfc\n"
        "run = kfc.fit('digits', overrides={'training.epochs': 1}, verbose=False)\n"
        "assert (run.folder / 'report.html').is_file()\n"
        "sys.exit('keras_tuner' in sys.modules)"
    )
    with_pages = {**os.environ, "KFC_REPORT": "on"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=with_pages, check=True)
