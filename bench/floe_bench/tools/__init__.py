"""Floe and its peers behind one shape."""
