"""What surrounds a training: hooks, seeding, checkpoints, loading."""
