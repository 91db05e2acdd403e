"""Completion of charge points' identities in a shell: asked of the gateway, in bounds, and silent where that fails."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final

import grpc
import typer

from gateway.api.v1.charge_point_pb2 import CHARGE_POINT_VIEW_BASIC, ListChargePointsRequest
from gateway.cli.connection import DEFAULT_TARGET, TOKEN_FILE, TlsFiles, connect
from gateway.errors import GatewayError

MAX_OFFERED: Final = 50
"""Identities that are shown: a list of more is not read, and a longer beginning finds the rest."""

ASKING_SECONDS: Final = 1.0
"""For the gateway to answer: a shell waits with the key that was pressed."""

LAST: Final = "\uffff"
"""Comes after all that an identity may go on with."""


def identities(ctx: typer.Context, incomplete: str) -> list[str]:
    """The identities that begin like this, in order; none where no gateway answers in time. Raises nothing."""
    try:
        return _asked(ctx, incomplete)
    except (grpc.RpcError, GatewayError, typer.BadParameter, OSError, ValueError):
        return []


def _asked(ctx: typer.Context, incomplete: str) -> list[str]:
    root = ctx.find_root().params
    token = root.get("token_file") or os.environ.get("GATEWAY_TOKEN_FILE")
    TOKEN_FILE.set(Path(token) if token else None)
    authority, certificate, key = (_file(root, name) for name in ("ca", "certificate", "key"))
    target = ctx.params.get("target") or os.environ.get("GATEWAY_TARGET") or DEFAULT_TARGET
    text = f"identity >= {json.dumps(incomplete)} AND identity < {json.dumps(incomplete + LAST, ensure_ascii=False)}"
    request = ListChargePointsRequest(
        filter=text if incomplete else "", page_size=MAX_OFFERED, view=CHARGE_POINT_VIEW_BASIC
    )
    with connect(str(target), TlsFiles(authority, certificate, key)) as gateway:
        listed = gateway.charge_points.ListChargePoints(request, timeout=ASKING_SECONDS)
    return [each.identity for each in listed.charge_points if each.identity.startswith(incomplete)]


def _file(root: dict[str, Any], name: str) -> Path | None:
    """A file of the root command's options, or of the environment."""
    found = root.get(name) or os.environ.get(f"GATEWAY_{name.upper()}")
    return Path(found) if found else None


ChargePointArgument = Annotated[
    str, typer.Argument(metavar="CHARGER", autocompletion=identities, help="The charger, by its identity.")
]
ChargerOption = Annotated[str, typer.Option("--charger", autocompletion=identities, help="Only those of this charger.")]
OnlyChargePoints = Annotated[
    list[str] | None, typer.Argument(metavar="CHARGER", autocompletion=identities, help="Only these chargers.")
]
