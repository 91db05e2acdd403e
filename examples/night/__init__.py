"""A night of charging, planned by price: what a charging platform does with the gateway, all of it over gRPC."""
