from kfc.data.sources.name_lists import join_names


def test_few_names_are_listed():
    assert join_names(["a", 2, "c"]) == "a, 2, c"
    assert join_names([]) == ""


def test_many_names_are_counted():
    assert join_names(range(100), most=3) == "0, 1, 2 and 97 more"
    assert join_names(range(100)).endswith(", 29 and 70 more")


def test_a_long_name_is_shortened():
    assert join_names(["x" * 90, "y"]) == "x" * 80 + "..., y"
