"""Totals of what the store holds, for metrics: what can be counted by an index, however long the history is."""

from collections.abc import Mapping

from attrs import frozen


@frozen
class Totals:
    """``charge_points``: those that are not deleted, by registration. ``operations``: open ones, by their stage.
    ``steering``: connectors for which something is wanted, by how far that has got."""

    charge_points: Mapping[str, int]
    open_transactions: int
    unfinished_commands: int
    operations: Mapping[str, int]
    steering: Mapping[str, int]
