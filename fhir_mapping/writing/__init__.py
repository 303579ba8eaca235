"""How an order is written: what every one needs, and a draft with only what a rule corrects."""
