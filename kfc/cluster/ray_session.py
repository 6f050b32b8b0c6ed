"""Starts a Ray cluster on this machine, or joins one that runs, with token authentication."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from kfc import compat
from kfc.errors import Finding, SpecError, one_line
from kfc.system import tensorflow_startup

LOCAL = "local"
_AUTO = "auto"
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):(\d{1,5})")
_SECONDS = 5.0
"""Time in which the port of a cluster has to answer. Ray itself tries for 14 minutes."""


def is_address(text: str) -> bool:
    """Returns whether a text can be the address of a cluster: HOST:PORT, `auto`, `local`."""
    return text in (LOCAL, _AUTO) or _HOST_AND_PORT.fullmatch(text) is not None


def check_ray(address: str) -> None:
    """Checks an address, and whether the package ray is installed, without importing it.

    Args:
        address: Value of `--ray`.

    Raises:
        SpecError: If the text is no address, or the package is missing.
    """
    if not isinstance(address, str) or not is_address(address):
        remedy = "Write the address that `ray start --head` prints, such as 10.0.0.1:6379."
        raise SpecError(Finding("ray", "HOST:PORT, auto or local", repr(address), remedy))
    if importlib.util.find_spec("ray") is None:
        remedy = "Run `python -m pip install '.[ray]'` in the folder of kfc's sources."
        raise SpecError(Finding("ray", "the package ray", "none that is installed", remedy))


@contextmanager
def joined_ray(address: str, processors: int) -> Iterator[ModuleType]:
    """Connects this process to a cluster, and disconnects it when the `with` block ends.

    A process that is connected already stays so. A local cluster listens on the loopback
    interface only, has a random token, and ends with the block or with this process.

    Args:
        address: HOST:PORT of a running cluster; `auto` for the one of this machine or of the
            environment variable RAY_ADDRESS; `local` starts one.
        processors: Number of processors of a local cluster.

    Yields:
        The module ray.

    Raises:
        SpecError: If the cluster cannot be reached, refuses the token or has other versions.
    """
    check_ray(address)
    _check_port(address)
    import_env = {"RAY_USAGE_STATS_ENABLED": "0"}
    with _environment(import_env | _token(address)):
        ray = compat.secure_ray(loopback_only=address == LOCAL)
        if ray.is_initialized():
            yield ray
            return
        _connect(ray, address, processors)
        compat.show_ray_messages(False)
        try:
            yield ray
        finally:
            ray.shutdown()
            compat.show_ray_messages(True)


def _connect(ray: ModuleType, address: str, processors: int) -> None:
    options: dict[str, Any] = {"address": address}
    if address == LOCAL:
        options |= {"num_cpus": processors, "include_dashboard": False}
    error: Exception | None = None
    terminated = False
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    with tensorflow_startup.stderr_held_back():  # Ray's C++ part prints
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **options)
        except SystemExit:  # Ray's handler of SIGTERM, with another exit code
            terminated = True
        except Exception as caught:
            error = caught
    if is_main and before is not None:
        signal.signal(signal.SIGTERM, before)
    if terminated:
        signal.raise_signal(signal.SIGTERM)
    if error is not None:
        with suppress(Exception):
            ray.shutdown()
        raise SpecError(_refusal(address, error)) from error


def _refusal(address: str, error: Exception) -> Finding:
    """Returns the finding of a connection that failed."""
    text = f"{error} {error.__cause__ or ''}"
    where = f"ray {address}"
    if "authentication token" in text.lower() or "Unauthenticated" in text:
        missing = "no authentication token was found" in text
        return Finding(
            where,
            "the authentication token of the cluster",
            "none" if missing else "another one",
            "Copy the cluster's ~/.ray/auth_token here, or set RAY_AUTH_TOKEN_PATH to a file "
            "with it.",
        )
    if "ersion mismatch" in text:
        return Finding(
            where,
            "the versions of Ray and Python that the cluster has",
            one_line(text)[:300],
            "Install the same versions on every node.",
        )
    return Finding(
        where,
        "a Ray cluster, one of whose nodes is this machine",
        one_line(str(error)).rstrip("."),
        f"Run `RAY_AUTH_MODE=token ray start --address={address}` on this machine first, or "
        "send the command to the cluster by `ray job submit`.",
    )


def _check_port(address: str) -> None:
    """Checks that something listens at an address; Ray would try for minutes.

    Raises:
        SpecError: If nothing does.
    """
    match = _HOST_AND_PORT.fullmatch(address)
    if not match:
        return
    host, port = match[1].strip("[]"), int(match[2])
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except (OSError, OverflowError) as error:
        got = getattr(error, "strerror", None) or str(error) or "no answer"
        remedy = "Start the cluster by `RAY_AUTH_MODE=token ray start --head`, or correct it."
        raise SpecError(
            Finding(f"ray {address}", "a cluster that answers", got, remedy)
        ) from error


def _token(address: str) -> dict[str, str]:
    """Returns a random token for a local cluster, unless the user has one."""
    has_one = any(os.environ.get(f"RAY_AUTH_TOKEN{end}") for end in ("", "_PATH"))
    if address != LOCAL or has_one or (Path.home() / ".ray" / "auth_token").is_file():
        return {}
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
