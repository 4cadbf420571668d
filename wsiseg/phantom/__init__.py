"""H&E-like slides with truth, generated."""
