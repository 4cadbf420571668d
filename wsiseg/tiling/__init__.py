"""A slide seen at the network's resolution, and how it is cut."""
