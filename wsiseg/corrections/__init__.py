"""What people corrected of a result: kept beside it, never in it, and ready to train on."""
