"""One run on one output: its options, plan, record, lock, tasks and result."""
