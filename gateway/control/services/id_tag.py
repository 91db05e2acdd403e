"""IdTagService."""

from gateway.api.v1 import id_tag_pb2 as pb
from gateway.api.v1.id_tag_pb2_grpc import IdTagServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert.common import connector
from gateway.control.convert.enums import AUTHORIZATION, ID_TAG_STATUS
from gateway.control.convert.requests import Fields
from gateway.control.convert.resources import id_tag
from gateway.control.id_tags import IdTags, TagFields
from gateway.control.services.charge_point import read_etag
from gateway.control.services.list_requests import id_tag_query
from gateway.control.services.paging import page
from gateway.control.services.rpc import CALLER, Context, Service, changing, unary

CHANGEABLE = {
    "status": "status",
    "expire_time": "expiry_date",
    "parent_id_tag": "parent_id_tag",
    "allow_concurrent": "allow_concurrent",
    "description": "description",
}
"""Fields of the message to those of the record."""


class IdTagRpcs(Service, IdTagServiceServicer):
    """The operator's table of idTags."""

    def __init__(self, bridge: Bridge, default_timeout: float, id_tags: IdTags) -> None:
        super().__init__(bridge, default_timeout)
        self._id_tags = id_tags

    @changing
    async def CreateIdTag(self, request: pb.CreateIdTagRequest, context: Context) -> pb.CreateIdTagResponse:
        fields = Fields()
        fields.present("id_tag", request, "id_tag")
        for descriptor, _ in request.id_tag.ListFields():
            if descriptor.name not in {"id_tag", *CHANGEABLE}:
                fields.wrong(f"id_tag.{descriptor.name}", "is the gateway's to set")
        given = _fields(request.id_tag, fields, frozenset(CHANGEABLE))
        fields.check()
        about = {"id_tag": request.id_tag.id_tag}
        record = await self.change(context, about, self._id_tags.create, request.id_tag.id_tag, given, CALLER.get())
        return pb.CreateIdTagResponse(id_tag=id_tag(record))

    @unary
    async def GetIdTag(self, request: pb.GetIdTagRequest, context: Context) -> pb.GetIdTagResponse:
        record = await self.call(context, self._id_tags.get, _tag(request.id_tag))
        return pb.GetIdTagResponse(id_tag=id_tag(record))

    @unary
    async def ListIdTags(self, request: pb.ListIdTagsRequest, context: Context) -> pb.ListIdTagsResponse:
        asked = id_tag_query(request)
        wanted = page(request.page_size, request.page_token, "id tags", asked)
        found = await self.call(context, self._id_tags.page, asked, wanted.after, wanted.size)
        messages, token = wanted.cut_found(found, id_tag)
        return pb.ListIdTagsResponse(id_tags=messages, next_page_token=token)

    @changing
    async def UpdateIdTag(self, request: pb.UpdateIdTagRequest, context: Context) -> pb.UpdateIdTagResponse:
        fields = Fields()
        given = request.id_tag
        fields.text("id_tag.id_tag", given.id_tag)
        paths = frozenset(request.update_mask.paths)
        if not paths:
            fields.wrong("update_mask", "must name what to change")
        for name in sorted(paths - CHANGEABLE.keys()):
            fields.wrong("update_mask", f"{name[:100]} can't be changed; {', '.join(CHANGEABLE)} can")
        revision = read_etag("id_tag.etag", given.etag, fields)
        changed = _fields(given, fields, paths)
        fields.check()
        names = frozenset(CHANGEABLE[path] for path in paths)
        about = {"id_tag": given.id_tag}
        updated = (given.id_tag, changed, names, revision, CALLER.get())
        record = await self.change(context, about, self._id_tags.update, *updated)
        return pb.UpdateIdTagResponse(id_tag=id_tag(record))

    @changing
    async def DeleteIdTag(self, request: pb.DeleteIdTagRequest, context: Context) -> pb.DeleteIdTagResponse:
        tag = _tag(request.id_tag)
        await self.change(context, {"id_tag": tag}, self._id_tags.delete, tag, CALLER.get())
        return pb.DeleteIdTagResponse()

    @unary
    async def CheckIdTag(self, request: pb.CheckIdTagRequest, context: Context) -> pb.CheckIdTagResponse:
        fields = Fields()
        fields.text("charge_point", request.charge_point)
        fields.text("id_tag", request.id_tag)
        where = fields.optional_connector(request)
        fields.check()
        found = await self.call(context, self._id_tags.check, request.charge_point, request.id_tag, where)
        uses = [
            pb.IdTagUse(
                transaction_id=each.transaction_id,
                charge_point=each.charge_point,
                connector=connector(each.connector),
            )
            for each in found.transactions
        ]
        return pb.CheckIdTagResponse(status=AUTHORIZATION.number(found.status), transactions=uses)


def _tag(id_tag: str) -> str:
    fields = Fields()
    fields.text("id_tag", id_tag)
    fields.check()
    return id_tag


def _fields(given: pb.IdTag, fields: Fields, paths: frozenset[str]) -> TagFields:
    status = "Accepted"
    if "status" in paths:
        status = fields.word("id_tag.status", ID_TAG_STATUS, given.status, status)
    return TagFields(
        status=status,
        expiry_date=fields.optional_time("id_tag.expire_time", given, "expire_time"),
        parent_id_tag=given.parent_id_tag or None,
        allow_concurrent=given.allow_concurrent,
        description=given.description,
    )
