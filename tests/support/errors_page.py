"""``docs/errors.md``, ``error.proto`` and the client's table, made from ``gateway.control.error_reasons``; as a module
it writes them."""

import textwrap
from pathlib import Path

from gateway.control.error_reasons import REASONS, RECIPES, UNKNOWN_CODE, ErrorReason

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
PROTO = ROOT / "protos" / "gateway" / "api" / "v1" / "error.proto"
CLIENT = ROOT / "gateway" / "client" / "reason_table.py"

HEAD = f"""# Errors: every reason, and what a client does

Each error of the gateway's own has a gRPC status and, in its details, a `google.rpc.ErrorInfo` with the domain
`gateway.api.v1`, a reason, and metadata; `INVALID_ARGUMENT` has a `google.rpc.BadRequest` besides, which names each
field that is wrong. Reasons are stable: a new one may come, none changes its meaning. The enum `ErrorReason` in
[`error.proto`](../protos/gateway/api/v1/error.proto) has them by name: `ErrorInfo.reason` is the name of its value.
This page and the enum are made from `gateway/control/error_reasons.py` (`python -m tests.support.errors_page`), and
`tests/control/test_error_reasons.py` holds the table against the code.

- **A reason that you don't know**: go by the status. `UNAVAILABLE` may be asked again with the same request; of all
  others read before you ask again.
- **No ErrorInfo**: gRPC answered, not the gateway. Nothing follows for what was asked, unless the status is
  `UNIMPLEMENTED` (there is no such RPC) or `RESOURCE_EXHAUSTED` (the request has more than 16 MiB): then nothing was
  done. [How an RPC can end](outcomes.md) has these endings, and for each RPC what was done in which case.
- **A charger's own error** has its code as the reason, as OCPP spells it (`NotSupported`, `GenericError`, ...), which
  looks like none of these; `code`, `description` and `details` in the metadata are as it sent them. A code that can't
  be a reason is `{UNKNOWN_CODE}`. Status: `UNIMPLEMENTED` for NotImplemented and NotSupported, else
  `FAILED_PRECONDITION`. The command was carried to it: it is not asked again as it is.
- **Metadata**: keys that may be there. Values have at most 1,000 characters. `last_seen` is when the charge point was
  last heard, a time in UTC as `2026-11-27T17:48:58.267418+00:00`, or `never`.

## Reasons

| reason | when | status | metadata | ask again |
| --- | --- | --- | --- | --- |
"""

RECIPES_HEAD = """
## After OUTCOME_UNKNOWN

`cause` in the metadata: `deadline` (the disk or the charger had not answered by then), `timeout` (the charger did not
answer), `disconnected`, `deleted`, `draining`, `store-unavailable`, `gateway-restarted`, `changed-since`,
`internal-error`; more may come. From there to what has happened:

| RPC | what to do |
| --- | --- |
"""

PROTO_HEAD = """syntax = "proto3";

package gateway.api.v1;

option csharp_namespace = "Gateway.Api.V1";
option go_package = "gateway.internal/api/v1;gatewayv1";
option java_multiple_files = true;
option java_package = "internal.gateway.api.v1";

// The reasons of errors: the reason of an error's google.rpc.ErrorInfo, with the domain "gateway.api.v1", is the name
// of one of these, or a charger's own error code, which looks like none of them. Each says when it is given, with
// which status, which keys its metadata may have, and whether to ask again. docs/errors.md has the same as a table,
// and for OUTCOME_UNKNOWN a recipe for each RPC.
enum ErrorReason {
  // Not set; also stands for a reason that this version of the interface can't name.
  ERROR_REASON_UNSPECIFIED = 0;
"""


def page() -> str:
    """The whole page."""
    rows = "".join(
        f"| `{each.name}` | {each.when} | {', '.join(each.statuses)} | "
        f"{', '.join(f'`{key}`' for key in each.metadata) or '-'} | {advice(each)} |\n"
        for each in REASONS
    )
    recipes = "".join(f"| {', '.join(names.split()) if ':' not in names else names} | {recipe} |\n"
                      for names, recipe in RECIPES)  # fmt: skip
    return HEAD + rows + RECIPES_HEAD + recipes


def advice(reason: ErrorReason) -> str:
    """The advice to a client, in words."""
    words = f"{'; or '.join(each.value for each in reason.repeats)}."
    return f"{words[0].upper()}{words[1:]} {reason.advice}".rstrip()


def proto() -> str:
    """The whole of ``error.proto``."""
    values = []
    for number, each in enumerate(REASONS, 1):
        metadata = f" Metadata: {', '.join(each.metadata)}." if each.metadata else ""
        text = f"{each.when} {', '.join(each.statuses)}.{metadata} Ask again: {advice(each)}"
        comment = textwrap.fill(text, 120, initial_indent="  // ", subsequent_indent="  // ", break_long_words=False)
        values.append(f"{comment}\n  {each.name} = {number};\n")
    return f"{PROTO_HEAD}{''.join(values)}}}\n"


def client_table() -> str:
    """The whole of the client's table: which ways to go on each reason has."""
    ways = {each.name: ", ".join(f'"{way.name}"' for way in each.repeats) for each in REASONS}
    rows = "".join(f'    "{name}": ({way}{"" if ", " in way else ","}),\n' for name, way in ways.items())
    return (
        '"""Each reason, and the ways in which a client goes on after it; made by ``tests.support.errors_page``."""\n\n'
        f"REPEATS: dict[str, tuple[str, ...]] = {{\n{rows}}}\n"
    )


if __name__ == "__main__":
    CLIENT.write_text(client_table(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    PROTO.write_text(proto(), encoding="utf-8")
