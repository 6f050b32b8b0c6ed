import re
from pathlib import Path

import kfc.spec
from kfc.tuning.space import Space

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_example_spec_is_a_spec(tmp_path):
    (tmp_path / "fashion.yaml").write_text(blocks("yaml")[0])
    assert kfc.spec.load_spec(tmp_path / "fashion.yaml").name == "fashion"


def test_the_example_search_is_a_search(tmp_path):
    _, search = blocks("yaml")
    text = "network:\n  init: {name: truncated_normal, stddev: 0.1}\n" + search
    (tmp_path / "my.yaml").write_text(text)
    space = Space.of(kfc.spec.load_spec(tmp_path / "my.yaml"))
    assert {p.name for p in space.parameters} >= {
        "network.hidden.depth",
        "training.batch_size",
    }


def test_the_first_screen_has_one_line_to_run_and_one_to_test():
    first_screen = "\n".join(README.splitlines()[:45])
    assert first_screen.count("$ python -m pip install . && kfc fit") == 1
    assert len(re.findall(r"^\$ .*pytest", first_screen, flags=re.MULTILINE)) == 1


def test_every_linked_file_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target
