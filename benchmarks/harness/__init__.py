"""What several benchmarks need: photos, an origin that serves them, servers under watch, ``wrk``, tables and plots."""
