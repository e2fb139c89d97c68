"""What `tools/replay` is made of: reading a rollout, its timeline, points in it, differences, checks, full copies."""
