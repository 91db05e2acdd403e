"""What operators see of the running gateway: metrics, kept frames, refused connections, deviations from the standard."""
