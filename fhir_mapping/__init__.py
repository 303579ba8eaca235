"""FHIR R4 in, facts out; proposed orders out as FHIR. Pure: no network, no clock."""
