"""Options that lists and counts share: a filter, an order, labels."""

from typing import Annotated, Any

import typer

from gateway.cli.option_values import each_once, pair_of

FilterOption = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="FILTER",
        help="Only those that pass this filter, e.g. 'labels.site = \"north\" AND NOT connected = true'; docs/api.md.",
    ),
]
OrderOption = Annotated[
    str, typer.Option("--order-by", metavar="FIELD", help='The order: a field, alone or followed by " desc".')
]
LabelOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--label",
        parser=pair_of,
        callback=each_once,
        metavar="KEY=VALUE",
        help="Only those of chargers with this label; of several, those with all of them.",
    ),
]
