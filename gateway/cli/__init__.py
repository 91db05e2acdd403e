"""The commands for people: run a gateway, prepare its files, and steer chargers over gRPC."""
