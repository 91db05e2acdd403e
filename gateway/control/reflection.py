"""Server reflection under both of its names: v1, which newer tools ask for, and v1alpha, which older ones do.

The two protocols are the same but for the name of their package, and grpcio-reflection has the older one alone: its
handlers are registered under the newer name as well.
"""

from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection, reflection_pb2

ALPHA: Final[str] = reflection.SERVICE_NAME
V1: Final = "grpc.reflection.v1.ServerReflection"

_FILE = "grpc/reflection/v1/reflection.proto"


def add_reflection(services: list[str], server: grpc.aio.Server) -> None:
    """Have a server describe these services, and reflection itself."""
    _describe_v1()
    names = [*services, ALPHA, V1]
    reflection.enable_server_reflection(names, server)
    servicer = reflection.aio.ReflectionServicer(names)  # type: ignore[attr-defined]
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": handler}),))


def _describe_v1() -> None:
    """Make the newer protocol known where descriptors are looked up, once."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(_FILE)
    except KeyError:
        text = text_format.MessageToString(_file_of(reflection_pb2.DESCRIPTOR), as_one_line=True)
        text = text.replace("grpc.reflection.v1alpha", "grpc.reflection.v1")
        file = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
        file.name = _FILE
        pool.AddSerializedFile(file.SerializeToString())


def _file_of(descriptor: Any) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    descriptor.CopyToProto(file)
    return file
