"""Times, memory and multiply-adds of resizers: ``dsnet-mm benchmark``, ``dsnet-mm complexity``."""
