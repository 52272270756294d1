"""When work is done, and when it is refused."""
