"""The result store: levels, metadata, writing, and the journal of a run."""
