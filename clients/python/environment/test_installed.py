"""The distribution as it is installed: its parts, its types, and what it needs. Run in each environment."""

import ast
import importlib.util
import re
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import google.protobuf
import gateway_client
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

from gateway_client import v1

HERE = Path(__file__).parent
PACKAGE = Path(gateway_client.__file__).parent


def mypy(name: str) -> subprocess.CompletedProcess[str]:
    """What mypy says of a program, in strict mode."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", name]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)


def test_nothing_of_the_server_is_here() -> None:
    """Neither its package nor its libraries; no stubs either."""
    absent = ("gateway", "cattrs", "grpc_status", "google-stubs", "grpc-stubs")
    assert [name for name in absent if importlib.util.find_spec(name) is not None] == []


def test_three_distributions_are_needed() -> None:
    """Trio is its user's."""
    needed = {re.split(r"[<>= ;]", each)[0] for each in requires("gateway-client") or () if "extra ==" not in each}
    assert needed == {"grpcio", "protobuf", "googleapis-common-protos"}


def test_this_is_the_environment_that_was_asked_for(wanted_protobuf: str) -> None:
    """Of that major version of protobuf."""
    assert google.protobuf.__version__.split(".")[0] == wanted_protobuf
    assert version("gateway-client")


def test_a_users_program_needs_no_stubs() -> None:
    """`mypy --strict` finds nothing in it."""
    result = mypy("good.py")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "Success: no issues found in 1 source file")


def test_a_users_slips_are_found() -> None:
    """Each, and nothing else: names of methods and fields, and types of requests, fields and values."""
    lines = (HERE / "wrong.py").read_text(encoding="utf-8").splitlines()
    wanted = [(number, line.rpartition("  # ")[2]) for number, line in enumerate(lines, 1) if "  # " in line]
    found = re.findall(r"^wrong\.py:(\d+): error: .*\[([a-z-]+)\]$", mypy("wrong.py").stdout, re.MULTILINE)
    assert [(int(number), kind) for number, kind in found] == wanted


def test_what_the_types_promise_is_there() -> None:
    """Each method of the types of protobuf's classes is one of this protobuf's."""
    messages = {
        "Message": v1.Event,
        "Timestamp": timestamp_pb2.Timestamp,
        "Duration": duration_pb2.Duration,
        "FieldMask": field_mask_pb2.FieldMask(),
        "RepeatedScalarFieldContainer": type(v1.WatchEventsRequest().types),
        "RepeatedCompositeFieldContainer": type(v1.WatchEventsResponse().events),
        "ScalarMap": type(v1.ChargePoint().labels),
        "_EnumTypeWrapper": type(v1.ErrorReason),
    }
    tree = ast.parse((PACKAGE / "protobuf_types.pyi").read_text(encoding="utf-8"))
    promised = {each.name: each for each in tree.body if isinstance(each, ast.ClassDef)}
    for name, kind in messages.items():
        methods = [each.name for each in promised[name].body if isinstance(each, ast.FunctionDef)]
        assert [method for method in methods if not hasattr(kind, method)] == [], name
