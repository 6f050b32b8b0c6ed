"""The page of a search."""

import re

import kfc
from kfc.reporting.search_sections import search_sections
from kfc.tuning import read_status


def test_a_search_writes_its_page_and_that_of_the_winner(search):
    html = (search.folder / "report.html").read_text("utf-8")
    keys = re.findall(r'<section id="([\w-]+)"', html)
    assert keys == ["result", "trials", "values", "finalists", "spec"]
    assert (search.run_folder / "report.html").is_file()
    assert kfc.report(search).html == kfc.report(search.folder).html == html


def test_the_tables_have_the_numbers_of_the_search(search):
    sections = {each.key: each for each in search_sections(read_status(search.folder))}
    trials = sections["trials"].table("All trials")
    place = list(trials.head).index(search.objective)
    shown = {row[0].value: row[place].value for row in trials.cells}
    assert shown == {trial.number: trial.score for trial in search.trials}
    finalists = sections["finalists"].table("Finalists")
    assert [row[2].value for row in finalists.cells] == [
        finalist.mean for finalist in search.finalists
    ]
    final = sections["result"].table("Metrics")
    assert {row[0].text: row[1].value for row in final.cells} == search.metrics


def test_trials_are_sorted_in_the_browser(search, opened):
    found = opened(search.folder / "report.html")
    table = found.page.locator("#trials table")
    table.get_by_role("button", name="seconds").click()
    place = table.locator("thead th").all_inner_texts()
    column = next(i for i, text in enumerate(place, 1) if text.startswith("seconds"))
    cells = table.locator(f"tbody tr > :nth-child({column})").all()
    values = [float(each.get_attribute("data-value")) for each in cells]
    assert values == sorted(values, reverse=True)
    assert found.said == []


def test_no_label_of_a_drawing_is_a_formula(search):
    assert "mathdefault" not in (search.folder / "report.html").read_text("utf-8")


def test_a_search_without_a_winner_says_so(search):
    status = read_status(search.folder)
    unfinished = type(status)(status.folder, status.objective, status.ranking[:2], 3)
    text = [
        block.text for block in search_sections(unfinished)[0].blocks if hasattr(block, "text")
    ]
    assert any("not finished" in each for each in text)
