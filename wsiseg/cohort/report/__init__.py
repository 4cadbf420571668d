"""What people look at after a batch: a page per slide, an index of them all, tables for analysis."""
