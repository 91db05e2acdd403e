"""The gateway's public gRPC interface, generated from protos/ by `make protos`; a package for each version."""
