"""The sections of the page of an average of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kfc.ensembles import Ensemble, averaged_outputs
from kfc.reporting.blocks import Section, Text
from kfc.reporting.comparison_sections import comparison_sections
from kfc.reporting.data_section import data_section
from kfc.reporting.run_facts import Answers, RunFacts
from kfc.reporting.run_sections import answer_sections, metric_table
from kfc.reporting.worst_rows import mistakes_section
from kfc.runs import from_outputs, scores, with_fitted


def average_sections(result: Ensemble, members: Sequence[RunFacts]) -> list[Section]:
    """Returns the sections of the page of an average.

    Args:
        result: The average.
        members: Its runs, in their order.
    """
    facts, answers = averaged_answers(result, members)
    text = Text(f"The average of {len(result.runs)} runs on the same rows.")
    metrics = result.metrics
    if answers is not None and facts.given is not None:
        further = scores.further_scores(facts.run.spec)
        found = scores.scores(answers.outputs, answers.y, facts.run.task, further)
        metrics = {f"test_{name}": value for name, value in found.items()}
    tables = [metric_table(metrics, result.baseline, {}, ["test"])] if metrics else []
    sections = [Section("result", "Result", [text, *tables])]
    if answers is not None:
        sections.append(data_section(facts))
        sections += answer_sections(facts, answers)
        sections.append(mistakes_section(facts, answers))
    each, *others = comparison_sections(members)
    return [*sections, replace(each, key="members", title="Results of each run"), *others]


def averaged_answers(
    result: Ensemble, members: Sequence[RunFacts]
) -> tuple[RunFacts, Answers | None]:
    """Returns the first run, with the uncertainty of the average, and the average's answers.

    There are none without test rows that all members share and no member was trained on.

    Args:
        result: The average.
        members: Its runs, in their order.
    """
    first = members[0]
    task = with_fitted(first.run.task, result.uncertainty)
    facts = replace(first, run=replace(first.run, task=task, uncertainty=result.uncertainty))
    finals = [each.final for each in members]
    own = [each for each in finals if each is not None]
    same = len(own) == len(members) and all(np.array_equal(a.y, own[0].y) for a in own)
    if not same or not (result.metrics or first.given is not None):
        return facts, None
    outputs = averaged_outputs([each.outputs for each in own], task)
    answers = Answers("test", own[0].x, own[0].y, outputs, from_outputs(outputs, task))
    return facts, answers
