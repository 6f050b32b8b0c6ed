"""Loads specs that have errors, and specs that were written and read again."""

import functools

import pytest

from kfc.errors import SpecError
from kfc.spec import dump_spec, load_spec


@pytest.fixture
def findings_of():
    """Returns the findings about `digits` with overrides, each with all four parts."""

    def load(overrides):
        with pytest.raises(SpecError) as caught:
            load_spec("digits", overrides)
        for finding in caught.value.findings:
            assert finding.where
            assert finding.expected
            assert finding.got
            assert finding.remedy, finding
        return caught.value.findings

    return load


@pytest.fixture
def again(tmp_path):
    """Writes a spec to a file and loads the file."""

    def dump_and_load(spec):
        path = tmp_path / "spec.yaml"
        path.write_text(dump_spec(spec))
        return load_spec(path)

    return dump_and_load


@pytest.fixture
def read(tmp_path):
    """Writes a text to a file of that ending and loads it."""

    def write_and_load(text, suffix=".yaml", **overrides):
        path = tmp_path / f"case{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_spec(path, overrides)

    return write_and_load


@pytest.fixture
def finding_of(only_finding):
    """Returns the one finding of a call that a spec refuses."""
    return functools.partial(only_finding, SpecError)
