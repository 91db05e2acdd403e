"""Events of a charge point's local authorization list."""

from typing import ClassVar, TypeAlias

from attrs import frozen

from gateway.domain.commands import UpdateType


@frozen
class LocalListChanged:
    """The charger accepted a SendLocalList; its command is the cause (S §5.15)."""

    TYPE: ClassVar[str] = "local_list.changed"
    VERSION: ClassVar[int] = 1
    list_version: int
    update_type: UpdateType
    entries: int
    """How many entries the message had."""


Body: TypeAlias = LocalListChanged
