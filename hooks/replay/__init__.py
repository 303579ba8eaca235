"""The same rules over a whole population: what the service would have said, at any day or at each past call."""
