import pytest

from kfc.spec.key_paths import dotted, split_path

PATHS = {
    "seed": ("seed",),
    "network.hidden[0].units": ("network", "hidden", 0, "units"),
    "training.callbacks[1][2]": ("training", "callbacks", 1, 2),
}


@pytest.mark.parametrize("text", PATHS)
def test_a_dotted_path_and_its_keys_are_converted_both_ways(text):
    assert split_path(text) == PATHS[text]
    assert dotted(PATHS[text]) == text


def test_an_index_may_be_written_after_a_dot():
    assert split_path("network.hidden.0.units") == PATHS["network.hidden[0].units"]


def test_a_key_that_cannot_be_printed_is_quoted():
    assert dotted(("a\n", " ")) == r"'a\n'.' '"
