"""What people and other programs read: summary, overlay."""
