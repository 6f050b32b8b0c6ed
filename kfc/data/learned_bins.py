"""Learns the bins by which a network embeds the numbers of its rows."""

from __future__ import annotations

from dataclasses import replace

from kfc.data.rows import Rows
from kfc.data.task import Task
from kfc.preprocessing import NumberBins
from kfc.spec import Spec
from kfc.system import first_features


def with_number_bins(task: Task, spec: Spec, train: Rows) -> Task:
    """Returns a task with the bins of its numbers, if the network of a spec has any.

    The trials of a search share their rows, but each may have another number of bins. So bins
    belong to a training, and not to the preparation of its data.

    Args:
        task: Task with a fitted scaling.
        spec: Spec of the network.
        train: Encoded training rows.
    """
    embedding, bins = spec.network.numeric_embedding, None
    if embedding is not None and "bins" in embedding.options and task.num_scaled:
        x = train.x if task.encoding is None else first_features(train.x, task.num_scaled)
        bins = NumberBins.fit(x, task.scaling, embedding.options["bins"])
    return replace(task, number_bins=bins)
