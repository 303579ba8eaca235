"""The rules of surgical timing, by what is looked at; `surgical_timing.py` calls them in the order of its guidance."""
