"""Version 1 of the control interface: messages (`*_pb2`) and services (`*_pb2_grpc`), with their type stubs."""
