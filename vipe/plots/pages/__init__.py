"""Pages: one HTML file each that needs no network and no other file."""
