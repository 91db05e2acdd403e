"""`gateway top`: the fleet on a full screen, live."""
