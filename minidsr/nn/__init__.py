"""The textbook: layers, networks and SGD, each formula as it stands on the board."""
