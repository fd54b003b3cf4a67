"""The geometry of resizing, checks of images and sizes, and shared layers."""
