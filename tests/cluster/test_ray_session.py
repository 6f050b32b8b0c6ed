import importlib
import socket
from pathlib import Path

import pytest

import kfc
from kfc.cluster.ray_session import _refusal, check_ray, is_address, joined_ray

ADDRESS = "10.0.0.1:6379"
CLUSTER_PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.mark.parametrize("text", ["local", "auto", ADDRESS, "head:6379", "[fe80::1]:6379"])
def test_an_address_is_one(text):
    assert is_address(text)


@pytest.mark.parametrize("text", ["", "10", "digits", "my.yaml", "head:", "ray://head:10001"])
def test_another_text_is_no_address(text, only_finding):
    assert not is_address(text)
    assert "HOST:PORT" in only_finding(kfc.SpecError, check_ray, text).expected


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch, only_finding
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    finding = only_finding(kfc.SpecError, check_ray, "local")
    command = "python -m pip install '.[ray]'"
    assert command in finding.remedy
    assert f"$ {command}\n" in CLUSTER_PAGE.read_text("utf-8")


def test_a_cluster_that_does_not_answer_is_refused_before_ray_tries(only_finding):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    def join():
        with joined_ray(f"127.0.0.1:{port}", 1):
            pass

    finding = only_finding(kfc.SpecError, join)
    assert finding.where == f"ray 127.0.0.1:{port}"
    assert finding.got == "Connection refused"


@pytest.mark.parametrize(
    ("cause", "got"),
    [
        ("Token authentication is enabled but no authentication token was found", "none"),
        ("InvalidAuthToken: Authentication token is missing or incorrect", "another one"),
        ("Version mismatch: The cluster was started with:\n    Ray: 2.52.0", "2.52.0"),
        ("Failed to connect to GCS", "Failed to connect to Ray cluster"),
    ],
)
def test_a_refusal_of_ray_has_an_expectation_and_a_remedy(cause, got):
    error = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379.")
    error.__cause__ = RuntimeError(cause)
    finding = _refusal(ADDRESS, error)
    assert got in finding.got
    assert finding.expected
    assert finding.remedy
    assert "\n" not in str(finding)
