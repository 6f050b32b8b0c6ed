"""Pages in a real Chromium, from the disk, without a network."""

import numpy as np
import pytest
from PIL import Image

import kfc

RUNS = ["digits_run", "table_run", "diabetes_run"]
OTHERS = ["folds", "search", "average", "comparison"]
"""A cross-validation, a search, an average of seeds, and several runs on one page."""


def page_of(result):
    return result.path if hasattr(result, "path") else result.folder / "report.html"


@pytest.mark.parametrize("name", RUNS + OTHERS)
def test_a_page_opens_without_a_word_on_the_console(name, request, opened):
    found = opened(page_of(request.getfixturevalue(name)))
    assert found.said == []
    heights = "(query) => [...document.querySelectorAll(query)].map((e) => e.clientHeight)"
    sections = found.page.evaluate(heights, "main > section")
    assert min(sections) > 40
    assert found.page.locator("main > section > h2").count() == len(sections)
    drawings = found.page.evaluate(heights, "figure.drawing svg")
    assert len(drawings) >= (1 if name in OTHERS else 3)
    assert min(drawings) > 80


@pytest.mark.parametrize("name", RUNS + OTHERS)
@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        (1280, "light"),
        pytest.param(390, "light", marks=pytest.mark.slow),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
    ],
)
def test_a_page_has_no_serious_problem_for_a_screen_reader(
    name, width, scheme, request, opened, axe, tmp_path
):
    found = opened(page_of(request.getfixturevalue(name)), width, scheme)
    found.page.evaluate(axe)
    result = found.page.evaluate("axe.run()")
    problems = [(each["id"], each["nodes"][0]["html"][:200]) for each in result["violations"]]
    assert problems == []
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    found.page.screenshot(path=tmp_path / "page.png", full_page=True)
    picture = Image.open(tmp_path / "page.png").convert("L")
    paper = picture.getpixel((2, picture.height - 2))
    assert paper > 240 if scheme == "light" else paper < 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drawings_follow_the_colours_of_the_page(scheme, digits_run, opened):
    page = opened(page_of(digits_run), scheme=scheme).page
    ink = page.evaluate("getComputedStyle(document.body).color")
    text = page.locator("figure.drawing svg text").first
    assert text.evaluate("each => getComputedStyle(each).fill") == ink


def test_a_click_on_a_head_sorts_the_rows(digits_run, opened):
    page = opened(page_of(digits_run)).page
    table = page.locator("#classes table")
    head = table.get_by_role("button", name="recall")

    def shown():
        return [
            float(text) for text in table.locator("tbody td:nth-child(3)").all_inner_texts()
        ]

    before = shown()
    head.click()
    assert shown() == sorted(before, reverse=True)
    assert table.locator("th[aria-sort=descending]").inner_text().startswith("recall")
    head.press("Enter")  # by keyboard too
    assert shown() == sorted(before)


def test_a_column_of_the_data_is_sorted_by_its_numbers(table_run, opened):
    page = opened(page_of(table_run)).page
    table = page.locator("#mistakes table")
    heads = table.locator("thead th").all_inner_texts()
    cells = f"tbody tr > :nth-child({heads.index('noise') + 1})"
    table.get_by_role("button", name="noise").click()
    found = [float(text) for text in table.locator(cells).all_inner_texts()]
    assert min(found) < 0 < max(found)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("name", RUNS + OTHERS)
def test_a_printed_page_cuts_nothing(name, request, opened):
    page = opened(page_of(request.getfixturevalue(name)), width=718).page  # A4 and its margins
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((each) =>"
        " each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('svg'))"
        ".map((each) => each.outerHTML.slice(0, 99))"
    )
    assert wide == []
    folded = page.locator("details > pre").all()
    assert all(text.is_visible() for text in folded)
    assert folded or name in ("average", "comparison")  # these show no spec


def test_a_page_has_ids_only_once(table_run, opened):
    page = opened(page_of(table_run)).page
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "' onmouseover='alert(4)",
    "</td></tr></table><h1>broken</h1>",
    "</style><script>alert(5)</script>",
    "</svg><script>alert(6)</script>",
    "</title><script>alert(7)</script>",
    "<!-- ",
    "]]><script>alert(8)</script>",
    "{{ 7 * 7 }}",
    "{% for x in () %}",
    "${alert(9)}",
    "javascript:alert(10)",
    "$\\frac{1}{",
    "$x$ and $y$",
    "a & b &lt; &amp;",
    "&#x3c;script&#x3e;alert(11)",
    "\u202etxt.exe",
    "zero\u200bwidth",
    "x" * 500,
    "line\nbreak\ttab",
    "\x1b[31mred\x1b[0m",
    "名前 имя اسم",
    "🙂🙃",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "%s %d %n",
    "\\u003cscript\\u003e",
    "<iframe srcdoc='<script>alert(12)</script>'>",
]


@pytest.fixture(scope="module")
def hostile_page(places):
    """A page of a run whose classes, columns and cells are hostile."""
    import pandas as pd

    rng = np.random.default_rng(0)
    rows = 600
    y = np.arange(rows) % len(HOSTILE)
    names = [" ".join(text.split()) or "blank" for text in HOSTILE]
    frame = pd.DataFrame(
        {f"{name} #{i}": rng.normal(size=rows) + y for i, name in enumerate(HOSTILE[:29])}
    )
    frame["cells"] = [names[i] for i in y]
    frame["target"] = [names[i] for i in y]
    spec = {"name": "hostile", "training": {"epochs": 2}, "data": {"target": "target"}}
    run = kfc.fit(spec, data=frame, runs=places / "<b>runs & $x$", verbose=False)
    # As somebody else would: from the folder, whose spec has the names of the columns.
    return kfc.report(run.folder, data=frame, path=places / "<i>page & $y$.html").path


@pytest.mark.parametrize("bypass", [False, True], ids=["policy", "without policy"])
def test_nothing_of_thirty_hostile_strings_runs(hostile_page, opened, bypass):
    assert len(HOSTILE) == 30
    found = opened(hostile_page, bypass_csp=bypass)
    found.page.wait_for_timeout(300)
    assert found.said == []
    assert found.page.locator("script").count() == 1
    assert found.page.locator("iframe, object, embed, link, base, form").count() == 0
    assert found.page.locator("h1").count() == 1
    attributes = found.page.evaluate(
        "[...document.querySelectorAll('*')].flatMap((each) => each.getAttributeNames())"
    )
    assert [name for name in attributes if name.startswith("on")] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_strings_break_no_layout(hostile_page, opened, width):
    page = opened(hostile_page, width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    main = page.locator("main").bounding_box()
    for section in page.locator("main > section").all():
        box = section.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= main["x"] + main["width"] + 1
    text = page.locator("main").inner_text()
    assert "<script>alert(1)</script>" in text
    assert "{{ 7 * 7 }}" in text
