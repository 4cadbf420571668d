"""Networks measured on the machine at hand: a child process runs one, its parent samples the machine."""
