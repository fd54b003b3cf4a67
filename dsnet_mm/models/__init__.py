"""What a model of mmdet or mmseg gets: preprocessors, necks, heads and losses."""
