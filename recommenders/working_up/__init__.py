"""The rules of the work-up that need room: imaging and the team; `workup.py` calls them."""
