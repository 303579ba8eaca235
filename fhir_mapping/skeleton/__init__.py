"""The lesions of the bones: as entered, as told elsewhere, and which of them are one."""
