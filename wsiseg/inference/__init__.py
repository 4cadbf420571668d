"""Tiles in, class ids out: one runtime per file."""
