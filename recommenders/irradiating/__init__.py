"""What radiotherapy is judged by: the row of each lesion, the cord, radionuclides; `radiotherapy.py` calls them."""
