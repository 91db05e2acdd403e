"""`gateway tags`: who may charge."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from gateway.api.v1.id_tag_pb2 import (
    CreateIdTagRequest,
    DeleteIdTagRequest,
    GetIdTagRequest,
    IdTag,
    IdTagStatus,
    ListIdTagsRequest,
    UpdateIdTagRequest,
)
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    moment,
    pages,
    timestamp,
)
from gateway.cli.list_options import OrderOption
from gateway.cli.option_values import moment_of, one_of, spelled
from gateway.cli.output import JsonOption, done, facts, local, note, out, print_json, say, status, table

app = typer.Typer(no_args_is_help=True)

Tag = Annotated[str, typer.Argument(metavar="TAG", help="The idTag: 1 to 20 characters, without regard to case.")]
Expires = Annotated[
    datetime | None,
    typer.Option(
        parser=moment_of,
        metavar="TIME",
        help="From then on it has expired: 2026-12-31, or 2026-12-31T18:00:00; without a zone, local time.",
    ),
]

TagFilterOption = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="FILTER",
        help="Only those that pass this filter, e.g. 'parent_id_tag = FAMILY AND NOT status = ACCEPTED'; docs/api.md.",
    ),
]


class Status(StrEnum):
    """The standings of a tag, as typed on the command line."""

    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    INVALID = "invalid"

    @property
    def value_in_api(self) -> IdTagStatus.ValueType:
        """The API's word for it."""
        return IdTagStatus.Value(f"ID_TAG_STATUS_{self.name}")


STATUS_OPTION = typer.Option(
    "--status", parser=one_of(Status), metavar=spelled(Status), help="The answer to chargers that ask for it."
)


@app.callback()
def tags() -> None:
    """List the table of idTags, or run a subcommand."""


@app.command()
def add(
    tag: Tag,
    standing: Annotated[Status, STATUS_OPTION] = Status.ACCEPTED,
    expires: Expires = None,
    parent: Annotated[str, typer.Option(help="Its group: tags of one may stop each other's transactions.")] = "",
    allow_concurrent: Annotated[
        bool, typer.Option("--allow-concurrent", help="Let it run several transactions at once.")
    ] = False,
    description: Annotated[str, typer.Option(help="Notes.")] = "",
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Add a tag."""
    made = IdTag(
        id_tag=tag,
        status=standing.value_in_api,
        expire_time=timestamp(expires) if expires else None,
        parent_id_tag=parent,
        allow_concurrent=allow_concurrent,
        description=description,
    )
    with connect(target) as gateway:
        response = gateway.id_tags.CreateIdTag(CreateIdTagRequest(id_tag=made), timeout=READ_SECONDS)
    _done(response.id_tag, json, "is added")


@app.command("list")
def list_(
    text: TagFilterOption = "",
    order: OrderOption = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 500,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List the tags, by their names unless another order is asked for."""
    request = ListIdTagsRequest(filter=text, order_by=order)
    with connect(target) as gateway:
        found = list(pages(gateway.id_tags.ListIdTags, request, lambda page: page.id_tags, limit=limit))
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (
            each.id_tag,
            status(_word(each)),
            local(moment(each, "expire_time")),
            each.parent_id_tag,
            "several" if each.allow_concurrent else "one",
            each.description,
        )
        for each in found
    ]
    out().print(table("tag", "status", "expires", "~group", "~transactions", "~description", rows=rows))
    if len(found) == limit:
        note(f"the first {limit}; --limit for more")


@app.command()
def show(tag: Tag, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """One tag."""
    with connect(target) as gateway:
        found = gateway.id_tags.GetIdTag(GetIdTagRequest(id_tag=tag), timeout=READ_SECONDS).id_tag
    if json:
        print_json(as_dict(found))
        return
    pairs = (
        ("tag", found.id_tag),
        ("status", status(_word(found))),
        ("expires", local(moment(found, "expire_time"))),
        ("group", found.parent_id_tag),
        ("transactions at once", "several" if found.allow_concurrent else "one"),
        ("description", found.description),
        ("added by", found.create_caller),
        ("changed by", found.update_caller),
        ("created", local(moment(found, "create_time"))),
        ("changed", local(moment(found, "update_time"))),
    )
    out().print(facts(pairs))


@app.command()
def update(
    tag: Tag,
    standing: Annotated[Status | None, STATUS_OPTION] = None,
    expires: Expires = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="Take its expiry away.")] = False,
    parent: Annotated[str | None, typer.Option(help='Its group; "" for none.')] = None,
    allow_concurrent: Annotated[
        bool | None, typer.Option("--allow-concurrent/--one-at-a-time", help="Several transactions at once, or one.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="Other notes.")] = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Change a tag."""
    if expires is not None and never_expires:
        raise typer.BadParameter("--expires and --never-expires exclude each other")
    request = UpdateIdTagRequest(id_tag=IdTag(id_tag=tag))
    changed = request.update_mask.paths
    if standing is not None:
        request.id_tag.status = standing.value_in_api
        changed.append("status")
    if expires is not None:
        request.id_tag.expire_time.CopyFrom(timestamp(expires))
    if expires is not None or never_expires:
        changed.append("expire_time")
    if parent is not None:
        request.id_tag.parent_id_tag = parent
        changed.append("parent_id_tag")
    if allow_concurrent is not None:
        request.id_tag.allow_concurrent = allow_concurrent
        changed.append("allow_concurrent")
    if description is not None:
        request.id_tag.description = description
        changed.append("description")
    if not changed:
        raise typer.BadParameter(
            "nothing to change: give --status, --expires, --never-expires, --parent, --allow-concurrent, "
            "--one-at-a-time or --description"
        )
    with connect(target) as gateway:
        response = gateway.id_tags.UpdateIdTag(request, timeout=READ_SECONDS)
    _done(response.id_tag, json, "is changed")


@app.command()
def remove(tag: Tag, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Remove a tag. Transactions that it started stay."""
    with connect(target) as gateway:
        gateway.id_tags.DeleteIdTag(DeleteIdTagRequest(id_tag=tag), timeout=READ_SECONDS)
    done(f"{tag} is removed", json)


def _word(tag: IdTag) -> str:
    return IdTagStatus.Name(tag.status).removeprefix("ID_TAG_STATUS_").capitalize()


def _done(tag: IdTag, json: bool, what: str) -> None:
    if json:
        print_json(as_dict(tag))
    else:
        say(f"{tag.id_tag} {what}: {_word(tag)}")
