"""wsiseg in a window: slides, their tissue, corrections. Not for diagnostic use."""

__version__ = "0.1.0"
