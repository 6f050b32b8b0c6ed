"""Lists runs and ensembles in a folder; it does not import TensorFlow."""

from __future__ import annotations

from pathlib import Path

from kfc.ensembles import average_file, fold_scores
from kfc.ensembles.fold_scores import mean_and_spread
from kfc.ensembles.plan_file import FILE, is_ensemble, read_plan
from kfc.errors import CheckpointError
from kfc.runs import ListedRun, date_of, list_runs
from kfc.system import safe_open, user_paths


def list_folder(folder: str | Path) -> list[ListedRun]:
    """Returns the runs and the ensembles in a folder, in the order of their names.

    Runs within an ensemble are not listed. The metrics of a cross-validation are the means
    over its folds, `mean_accuracy` for example, and those of the average on test rows.

    Args:
        folder: Folder that holds run folders.

    Raises:
        DataError: If the folder does not exist.
    """
    listed = list_runs(folder)
    for path in user_paths.absolute(folder).iterdir():
        if not path.is_symlink() and is_ensemble(path):
            safe_open.distrust(path)
            listed.append(_listed(path))
    return sorted(listed, key=lambda each: each.name)


def _listed(folder: Path) -> ListedRun:
    date = date_of(folder, FILE)
    try:
        plan = read_plan(folder)
        runs = len(plan.numbers) * plan.repeats
        last = fold_scores.FILE if plan.kind == "folds" else average_file.FILE
        if not (folder / last).is_file():
            return ListedRun(folder, "unfinished", date, {}, [], runs)
        metrics = dict(average_file.read_average(folder)["metrics"])
        if plan.kind == "folds":
            scores, _, _ = fold_scores.read_scores(folder)
            mean, _ = mean_and_spread(scores)
            metrics = {f"mean_{name}": value for name, value in mean.items()} | metrics
    except CheckpointError:
        return ListedRun(folder, "damaged", date, {}, [])
    return ListedRun(folder, "finished", date, metrics, [], runs)
