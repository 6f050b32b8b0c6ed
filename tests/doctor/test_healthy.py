"""The doctor finds nothing in healthy trainings."""

import pytest

import kfc


@pytest.fixture(scope="module")
def healthy(experiment):
    return experiment("doctor", "healthy")


@pytest.mark.parametrize("name", ["source iris", "source diabetes", "two layers"])
def test_a_healthy_spec_has_no_finding(healthy, name):
    assert kfc.doctor(dict(healthy.specs())[name]).findings == ()


def test_a_healthy_model_has_no_finding(model, rows, logits_loss):
    assert kfc.doctor(model, data=rows, loss=logits_loss, optimizer="adam").findings == ()


@pytest.mark.slow
def test_sixty_healthy_specs_have_at_most_two_warnings_in_all(healthy):
    found = {name: kfc.doctor(spec) for name, spec in healthy.specs()}
    assert len(found) >= 40
    assert {name: each.errors for name, each in found.items() if each.errors} == {}
    warned = {name: each.warnings for name, each in found.items() if each.warnings}
    assert sum(map(len, warned.values())) <= 2, warned
