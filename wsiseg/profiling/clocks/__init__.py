"""GPU clocks and power modes: read, and changed only where asked for, with everything put back."""
