"""Backends compute graphs. numpy/ is the reference interpreter."""
