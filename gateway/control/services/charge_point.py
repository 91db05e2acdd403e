"""ChargePointService."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from attrs import evolve

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.api.v1.charge_point_pb2_grpc import ChargePointServiceServicer
from gateway.bridge import Bridge
from gateway.control.charge_points import Change, ChargePoints, NewChargePoint
from gateway.control.connectors import PresentChargePoint
from gateway.control.convert.enums import REGISTRATION
from gateway.control.convert.provisioning import CHANGEABLE, import_news, read_new
from gateway.control.convert.quirks import read_patch
from gateway.control.convert.requests import Fields
from gateway.control.convert.resources import charge_point, connector_present, connector_status
from gateway.control.fleet_import import FleetImport
from gateway.control.services.fleet_import import receive, running
from gateway.control.services.list_requests import CHARGE_POINT_FIELDS, charge_point_query, query
from gateway.control.services.paging import MAX_SIZE, in_parts, page
from gateway.control.services.request_stream import RequestStream
from gateway.control.services.rpc import CALLER, Context, Service, changing, streaming, unary
from gateway.domain.records import ChargePointRecord
from gateway.domain.values import Registration


class ChargePointRpcs(Service, ChargePointServiceServicer):
    """Charge points, as the operator deals with them."""

    def __init__(
        self, bridge: Bridge, default_timeout: float, charge_points: ChargePoints, fleets: FleetImport
    ) -> None:
        super().__init__(bridge, default_timeout)
        self._charge_points = charge_points
        self._fleets = fleets
        self._importing = False

    @changing
    async def CreateChargePoint(
        self, request: pb.CreateChargePointRequest, context: Context
    ) -> pb.CreateChargePointResponse:
        new = _new(request)
        made = await self.change(context, {"charge_point": new.identity}, self._charge_points.create, new)
        return pb.CreateChargePointResponse(
            charge_point=charge_point(made.record, made.quirks), generated_authorization_key=made.generated_key
        )

    @streaming
    async def ImportChargePoints(
        self, requests: AsyncIterator[pb.ImportChargePointsRequest], context: Context
    ) -> AsyncIterator[pb.ImportChargePointsResponse]:
        if self._importing:
            raise running()
        self._importing = True
        try:
            async with asyncio.timeout_at(self.until(context)):
                fleet, validate_only = await receive(RequestStream(requests, self.stopped))
            async for news in self.stream_of_change(context, self._fleets.run, fleet, validate_only):
                yield import_news(news)
        finally:
            self._importing = False

    @unary
    async def GetChargePoint(self, request: pb.GetChargePointRequest, context: Context) -> pb.GetChargePointResponse:
        identity = _identity(request.identity)
        record, quirks = await self.call(context, self._charge_points.whole, identity)
        return pb.GetChargePointResponse(charge_point=charge_point(record, quirks))

    @unary
    async def ListChargePoints(
        self, request: pb.ListChargePointsRequest, context: Context
    ) -> pb.ListChargePointsResponse:
        asked = charge_point_query(request)
        whole = request.view != pb.CHARGE_POINT_VIEW_BASIC
        wanted = page(request.page_size, request.page_token, "charge points", asked)
        listed = await self.call(context, self._charge_points.page, asked, wanted.after, wanted.size, whole)
        messages, token = wanted.cut_found(listed.found, charge_point)
        return pb.ListChargePointsResponse(charge_points=messages, next_page_token=token, resume_token=listed.token)

    @streaming
    async def StreamLatestReadings(
        self, request: pb.StreamLatestReadingsRequest, context: Context
    ) -> AsyncIterator[pb.StreamLatestReadingsResponse]:
        asked = query(request, Fields(), CHARGE_POINT_FIELDS)
        async with self.stream(self._charge_points.snapshot, asked, _snapshot_part) as parts:
            async for messages in parts:
                for message in messages:
                    yield message

    @unary
    async def CountChargePoints(
        self, request: pb.CountChargePointsRequest, context: Context
    ) -> pb.CountChargePointsResponse:
        counted = await self.call(context, self._charge_points.count, query(request, Fields(), CHARGE_POINT_FIELDS))
        counts = counted.found
        return pb.CountChargePointsResponse(
            total_count=sum(each.count for each in counts.charge_points),
            charge_point_counts=[
                pb.ChargePointCount(
                    registration=REGISTRATION.number(each.registration), connected=each.connected, count=each.count
                )
                for each in counts.charge_points
            ],
            connector_counts=[
                pb.ConnectorCount(status=each.status, connected=each.connected, count=each.count)
                for each in counts.connectors
            ],
            resume_token=counted.token,
        )

    @unary
    async def GetLatestReadings(
        self, request: pb.GetLatestReadingsRequest, context: Context
    ) -> pb.GetLatestReadingsResponse:
        identities = _identities(request.charge_points)
        found = {each.identity: each for each in await self.call(context, self._charge_points.named, identities)}
        return pb.GetLatestReadingsResponse(
            charge_points=[_readings(identity, found.get(identity)) for identity in identities]
        )

    @changing
    async def UpdateChargePoint(
        self, request: pb.UpdateChargePointRequest, context: Context
    ) -> pb.UpdateChargePointResponse:
        change = _change(request)
        changed = await self.change(context, {"charge_point": change.identity}, self._charge_points.update, change)
        return pb.UpdateChargePointResponse(
            charge_point=charge_point(changed.record, changed.quirks), generated_authorization_key=changed.generated_key
        )

    @changing
    async def DeleteChargePoint(
        self, request: pb.DeleteChargePointRequest, context: Context
    ) -> pb.DeleteChargePointResponse:
        identity = _identity(request.identity)
        await self.change(context, {"charge_point": identity}, self._charge_points.delete, identity, CALLER.get())
        return pb.DeleteChargePointResponse()

    @changing
    async def DisconnectChargePoint(
        self, request: pb.DisconnectChargePointRequest, context: Context
    ) -> pb.DisconnectChargePointResponse:
        identity = _identity(request.identity)
        await self.change(context, {"charge_point": identity}, self._charge_points.disconnect, identity, CALLER.get())
        return pb.DisconnectChargePointResponse()


def _identity(identity: str) -> str:
    fields = Fields()
    fields.text("identity", identity)
    fields.check()
    return identity


def _identities(given: Sequence[str]) -> list[str]:
    """The identities of a batch: some, not too many, each once."""
    fields = Fields()
    if not given:
        fields.wrong("charge_points", "must name at least one")
    if len(given) > MAX_SIZE:
        fields.wrong("charge_points", f"must name at most {MAX_SIZE:,}; there are {len(given):,}")
        fields.check()
    first: dict[str, int] = {}
    for index, identity in enumerate(given):
        name = f"charge_points[{index}]"
        if fields.text(name, identity) and first.setdefault(identity, index) != index:
            fields.wrong(name, f"repeats charge_points[{first[identity]}]")
    fields.check()
    return list(given)


def _readings(identity: str, record: ChargePointRecord | None) -> pb.ChargePointReadings:
    if record is None:
        return pb.ChargePointReadings(charge_point=identity)
    return pb.ChargePointReadings(
        charge_point=identity,
        known=True,
        connected=record.connection.connected,
        connectors=list(map(connector_status, record.connectors)),
    )


def _snapshot_part(token: bytes, found: Iterable[PresentChargePoint]) -> list[pb.StreamLatestReadingsResponse]:
    """A part of a snapshot as messages."""
    readings = [
        pb.ChargePointReadings(
            charge_point=each.identity,
            known=True,
            connected=each.connected,
            connectors=[connector_present(at.address, at.reported, at.charging, at.latest) for at in each.connectors],
        )
        for each in found
    ]
    return [pb.StreamLatestReadingsResponse(charge_points=part, resume_token=token) for part in in_parts(readings)]


def _new(request: pb.CreateChargePointRequest) -> NewChargePoint:
    fields = Fields()
    fields.present("charge_point", request, "charge_point")
    key = request.authorization_key if request.HasField("authorization_key") else None
    new = read_new(request.charge_point, key, fields, CALLER.get())
    fields.check()
    return evolve(new, request_id=request.request_id)


def _change(request: pb.UpdateChargePointRequest) -> Change:
    fields = Fields()
    given = request.charge_point
    fields.text("charge_point.identity", given.identity)
    names = frozenset(request.update_mask.paths)
    key_change = request.WhichOneof("authorization_key_change")
    if not names and key_change is None:
        fields.wrong("update_mask", "must name what to change, unless the key is changed")
    for name in sorted(names - CHANGEABLE):
        fields.wrong("update_mask", f"{name[:100]} can't be changed; {', '.join(sorted(CHANGEABLE))} can")
    registration = None
    if "registration" in names:
        registration = fields.word("charge_point.registration", REGISTRATION, given.registration, Registration.ACCEPTED)
    if key_change == "generate_authorization_key" and not request.generate_authorization_key:
        fields.wrong("generate_authorization_key", "must be true or left out")
    if key_change == "authorization_key" and not request.authorization_key:
        fields.wrong("authorization_key", "must not be empty")
    revision = read_etag("charge_point.etag", given.etag, fields)
    patch = read_patch(given, names, fields)
    fields.check()
    return Change(
        identity=given.identity,
        registration=registration,
        description=given.description if "description" in names else None,
        quirks=patch or None,
        labels=dict(given.labels) if "labels" in names else None,
        key=None if key_change is None else request.authorization_key,
        revision=revision,
        caller=CALLER.get(),
        minimum_security_profile=given.minimum_security_profile if "minimum_security_profile" in names else None,
    )


def read_etag(name: str, etag: str, fields: Fields) -> int | None:
    """A revision, from its etag; None if none is given."""
    if not etag:
        return None
    if not (etag.isascii() and etag.isdigit() and len(etag) < 18):
        fields.wrong(name, "is not an etag of this gateway")
        return None
    return int(etag)
