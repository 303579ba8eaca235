"""The rules as others read them: a FHIR package with their conditions in CQL."""
