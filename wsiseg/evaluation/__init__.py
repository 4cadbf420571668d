"""Confusion counts and the scores read from them."""
