"""The paper's comparison of whole networks (figure 6, table 1c) on the machine at hand."""
