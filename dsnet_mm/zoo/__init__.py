"""The paper's models that mmdet and mmseg lack."""
