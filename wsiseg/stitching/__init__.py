"""Tiles to one label map: pure kernels, and the graph of tasks around them."""
