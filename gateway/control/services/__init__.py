"""The gRPC services (asyncio's side): requests read, carried over the bridge, answered or ended with a status."""
