"""Where a photo comes from: the only door to the outside."""
