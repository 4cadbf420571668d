"""Where training patches come from, and what is done to them."""
