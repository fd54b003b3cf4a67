"""A loss that mmseg lacks."""
