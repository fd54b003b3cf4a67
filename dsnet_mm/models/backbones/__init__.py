"""A backbone that reads detail maps beside the resized image."""
