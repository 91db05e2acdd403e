"""The contract over HTTP/1.1 and JSON, for clients without gRPC: the same methods behind the same authentication.

All of it is asyncio's, in the loop of the gRPC server. ``server`` listens, ``connection`` is one connection and
``calls`` one call: it hands a method, guarded as for gRPC, a ``context`` that is HTTP's. ``methods`` has the paths,
``messages`` what a request says, ``streams`` what a stream looks like, ``statuses`` how a call ends.
"""
