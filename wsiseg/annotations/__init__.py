"""Annotations of other programs: read as polygons in level-0 pixels, drawn as labels, traced from labels."""
