"""The rules of bone protection in myeloma, and of its start and stop; `bone_protection.py` calls them."""
