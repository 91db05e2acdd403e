"""Protobuf messages from and to the domain's values. Pure; what can't be read becomes field violations."""
