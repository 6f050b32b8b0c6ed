"""Decides whether several networks of one shape train in one compiled step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kfc.data import Prepared
from kfc.runs.plan import make_plan
from kfc.spec import Spec
from kfc.training.engine import choose_at_once, sees_gpu


def train_at_once(
    specs: Sequence[Spec], preparer: Callable[[Spec], Prepared], *, data: Any = None
) -> bool:
    """Returns whether the networks of some specs train at once, see `training.at_once`.

    Args:
        specs: Valid specs, which differ in their seeds or their rows alone.
        preparer: Function that prepares the data of a spec; it is called with the first one,
            unless the answer is known without.
        data: Rows that replace `data.source`, as for `kfc.fit`.

    Raises:
        SpecError: If the specs ask for it, and it cannot be done.
        DataError: If the data cannot be read or must not be trained on.
    """
    if len(specs) < 2:
        return False
    gpu, wanted = sees_gpu(), specs[0].training.at_once
    if wanted == "never" or (wanted == "auto" and not gpu):
        return False
    plan = make_plan(specs[0], data=data, preparer=preparer)
    rows = plan.prepared.train
    different = len({spec.data.model_dump_json() for spec in specs})
    return choose_at_once(
        plan.spec,
        num_weights=plan.network.count_params(),
        row_bytes=different * sum(part.nbytes for part in rows.parts),
        on_disk=rows.on_disk,
        gpu=gpu,
    )
