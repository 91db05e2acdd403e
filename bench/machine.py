"""Description of the machine of a measurement: figures mean little without it."""

import importlib.metadata
import os
import platform
import ssl
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import apsw

from bench import cores

PACKAGES = ("trio", "websockets", "trio-websocket", "grpcio", "orjson", "jsonschema-rs", "cattrs", "ocpp")
"""Those whose versions move the figures."""


@cache
def facts() -> Mapping[str, str]:
    """Names and values, for people; nothing that tells whose machine it is."""
    packages = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    placed = f"server on core {cores.server_core()}, drivers on {', '.join(map(str, cores.driver_cores()))}"
    return {
        "processor": _processor(),
        "cores": "one, shared by server and drivers" if cores.shared() else f"{os.cpu_count()}; {placed}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": apsw.sqlite_lib_version(),
        "packages": packages,
        "commit": _commit(),
    }


def as_markdown(facts: Mapping[str, str]) -> str:
    """As a list."""
    return "".join(f"- {name}: {value}\n" for name, value in facts.items())


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(none)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """Which state of the sources, and whether they were changed since."""
    root = Path(__file__).resolve().parents[1]
    describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(describe, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
