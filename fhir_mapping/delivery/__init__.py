"""What came with the call: which resources, whose, and what of them can be read."""
