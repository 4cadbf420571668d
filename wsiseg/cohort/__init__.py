"""Many slides, one queue: what to do, who does it, how far it is, and what came out."""
