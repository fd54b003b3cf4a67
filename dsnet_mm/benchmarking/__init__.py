"""Latency, memory, multiply-adds: ``dsnet-mm benchmark`` and ``dsnet-mm complexity``."""
