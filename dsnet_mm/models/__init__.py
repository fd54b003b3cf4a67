"""The paper's pipelines that mmdet and mmseg lack."""
