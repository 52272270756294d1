"""HTTP in and out: translates, never decides."""
