"""Segmentation heads with guided upsampling or learned interpolation."""
