"""Training runs: configuration, the loop, a run on disk, tables and figures, verify."""
