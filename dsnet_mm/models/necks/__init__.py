"""The learned interpolation on feature maps."""
