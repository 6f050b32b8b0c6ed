import numpy as np
import pytest

from kfc.errors import SpecError
from kfc.spec import load_spec


@pytest.mark.parametrize("asked", [None, "balanced", {"yes": 2.5}, {"0": 0, "balanced": 3}])
def test_class_weights_come_back_from_a_dump(asked, again):
    spec = load_spec({"training": {"class_weight": asked}})
    assert spec.training.class_weight == asked
    assert again(spec) == load_spec(spec) == spec


NAMES = {
    "yaml": (".yaml", "training:\n  class_weight: {0: 1, 7: 2.5, true: 3, 2.0: 4, no: 5}"),
    "quoted": (
        ".yaml",
        "training: {class_weight: {'0': 1, '7': 2.5, 'True': 3, '2.0': 4, no: 5}}",
    ),
    "json": (
        ".json",
        '{"training": {"class_weight": {"0": 1, "7": 2.5, "True": 3, "2.0": 4, "no": 5}}}',
    ),
    "toml": (".toml", "[training.class_weight]\n0 = 1\n7 = 2.5\nTrue = 3\n'2.0' = 4\nno = 5"),
}


@pytest.mark.parametrize("form", NAMES)
def test_a_class_may_be_called_by_a_number(form, tmp_path):
    suffix, text = NAMES[form]
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    named = {"0": 1, "7": 2.5, "True": 3, "2.0": 4, "no": 5}
    assert load_spec(path).training.class_weight == named


def test_a_class_of_a_dict_may_be_called_by_numpys_numbers():
    for zero in (0, np.int64(0), np.uint8(0), "0", np.str_("0")):
        assert load_spec({"training": {"class_weight": {zero: 2}}}).training.class_weight == {
            "0": 2
        }
    overrides = {"training.class_weight": {np.True_: 2}}
    assert load_spec({}, overrides).training.class_weight == {"True": 2}


def test_a_class_named_twice_is_refused():
    with pytest.raises(
        SpecError, match=r"class_weight: expected each key once, got '0' twice"
    ):
        load_spec({"training": {"class_weight": {0: 1, "0": 2}}})


def test_a_wrong_weight_of_a_class_called_by_a_number_names_its_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("training:\n  class_weight:\n    0: 1\n    7: -1\n")
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    (finding,) = caught.value.findings
    assert finding.where == "training.class_weight.7"
    assert finding.line == f"{path}, line 4"
    assert finding.remedy == "Use for example class_weight: balanced."
