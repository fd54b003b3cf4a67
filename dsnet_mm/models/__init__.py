"""Models, heads and losses that mmdet and mmseg lack."""
