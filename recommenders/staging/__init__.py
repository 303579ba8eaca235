"""The rules of myeloma staging: class, stage, risk; `myeloma_staging.py` calls them and gives the values."""
