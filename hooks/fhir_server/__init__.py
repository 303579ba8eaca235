"""What is read from the FHIR server of the call."""
