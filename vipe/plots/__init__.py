"""Pictures: one a function; `report` puts them on a page. Needs the `report` extra."""
