"""What the pixels mean; knows nothing of HTTP."""
