"""A run's temperature or intervals are short lines below its metrics."""

import pytest

from kfc.cli import printing

SUMMARY = {
    "folder": "runs/0001-digits",
    "metrics": {"test_loss": 0.25},
    "baseline": {},
    "epochs": 3,
    "seconds": 1.0,
}
CLASSES = {"temperature": 1.25, "best_temperature": 1.25, "rows": 1440, "bins": 15}
ERRORS = {"val_ece_before": 0.1, "val_ece_after": 0.05}
NUMBERS = {"coverage": 0.9, "half_widths": [2.5, 1e4], "rows": 36}


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        (
            {**CLASSES, **ERRORS, "test_ece_before": 0.125, "test_ece_after": 0.0625},
            [
                "temperature        1.2500, fitted on 1,440 rows",
                "calibration error  val 0.1000 -> 0.0500, test 0.1250 -> 0.0625",
            ],
        ),
        (
            {**NUMBERS, "test_coverage": [0.875, 0.9]},
            [
                "interval           +-2.5, 10000 for 0.9, from 36 rows",
                "coverage           test 0.8750, test 0.9000",
            ],
        ),
    ],
)
def test_the_uncertainty_of_a_run_is_printed(facts, lines, capsys):
    printing.print_run({**SUMMARY, "uncertainty": facts}, as_json=False)
    assert capsys.readouterr().out.splitlines()[2:4] == lines


def test_a_run_without_any_has_no_such_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the clone may have a run of this name, with a report
    printing.print_run(SUMMARY, as_json=False)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        *("test", "loss", "epochs", "seconds", "folder")
    ]
