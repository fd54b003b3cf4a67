"""Parts of the pipelines that mmdet and mmseg lack."""
