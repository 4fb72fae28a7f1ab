"""The folder of an index: its manifest, and the parts with their files, as they are read, checked and written."""
