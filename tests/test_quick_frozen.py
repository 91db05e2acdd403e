"""Objects that every message makes are frozen to the type checker, and equal and hashed by their values."""

from pathlib import Path

import attrs
import pytest
from mypy import api

from gateway.domain.events import NewEvent
from gateway.domain.values import ConnectorAddress
from gateway.quick_frozen import quick_frozen

SOURCE = """
from gateway.quick_frozen import quick_frozen

@quick_frozen
class Point:
    x: int
    y: int = 0

point = Point(1)
print(point.x, point.y)
"""


@quick_frozen
class Point:
    x: int
    y: int = attrs.field(default=0)


@pytest.mark.parametrize(
    ("more", "refused"), [("", ""), ("point.x = 2\n", "read-only"), ("Point('1')\n", "incompatible type")]
)
def test_the_type_checker_refuses_assignments_and_wrong_arguments(tmp_path: Path, more: str, refused: str) -> None:
    """As it does for ``attrs.frozen``."""
    module = tmp_path / "module.py"
    module.write_text(SOURCE + more)
    out, err, code = api.run(["--strict", "--follow-imports=silent", f"--cache-dir={tmp_path}", str(module)])
    assert (code == 0) == (refused == ""), out + err
    assert refused in out


def test_its_objects_are_equal_by_value_and_can_be_keys() -> None:
    """So they go into sets, and a copy with another value is another object."""
    assert Point(1) == Point(1, 0) != Point(1, 1)
    assert {Point(1), Point(1), Point(2)} == {Point(1), Point(2)}
    assert attrs.evolve(Point(1), y=5) == Point(1, 5)
    assert not hasattr(Point(1), "__dict__")


def test_what_each_message_makes_is_made_by_it() -> None:
    """Else each field costs a call into the interpreter's slow way of setting attributes."""
    for cls in (NewEvent, ConnectorAddress):
        assert "__setattr__" not in vars(cls)
