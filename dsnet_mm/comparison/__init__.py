"""The comparison of resizers, or of other variants of a config: ``dsnet-mm compare``."""
