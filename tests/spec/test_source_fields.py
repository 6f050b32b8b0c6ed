import pytest


@pytest.mark.parametrize("source", ["sklern:digits", "Sklearn:digits"])
@pytest.mark.parametrize("key", ["data.source", "data.validation"])
def test_a_source_of_unknown_kind_gets_the_nearest(key, source, findings_of):
    (finding,) = findings_of({key: source})
    assert finding.where == key
    assert finding.remedy.startswith("Did you mean 'sklearn'?")


@pytest.mark.parametrize("source", ["sklearn:", ":digits", "", "sklearn"])
def test_a_source_needs_kind_and_argument(source, findings_of):
    (finding,) = findings_of({"data.source": source})
    assert finding.where == "data.source"
