"""The learned interpolation on feature maps, down and up."""
