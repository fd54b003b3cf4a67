"""What DownsizeNet is compared with: fixed interpolation and published learned resizers."""
