"""Losses, schedules and the loop."""
