"""What surrounds a training: hooks, seeding, checkpoints and loading."""
