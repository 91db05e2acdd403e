"""`gateway demo`: a gateway, simulated chargers and the main job, shown step by step."""
