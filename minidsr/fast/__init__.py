"""What computes in place of layers where it is faster, each held to the textbook by tests."""
