"""Folds on several processes give the same numbers as in one."""

import kfc


def test_two_processes_give_the_same_table(small, validated, tmp_path):
    options = {"folds": 3, "workers": 2, "runs": tmp_path, "verbose": False}
    result = kfc.cross_validate(small, **options)
    weights = [score.weights_sha256 for score in result.folds]
    assert weights == [score.weights_sha256 for score in validated.folds]
    assert result.mean == validated.mean
