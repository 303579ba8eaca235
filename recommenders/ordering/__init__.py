"""The rules of order safety, by what is ordered; `order_safety.py` calls them in the order of its guidance file."""
