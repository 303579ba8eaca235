"""The dossier: everything that stands behind a card, on one page; the form that asks what is missing is its tab."""
