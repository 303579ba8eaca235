"""What one element says: a value, a dose, a product, an indication."""
