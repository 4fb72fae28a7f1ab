"""Options that several commands take: people in images, their cameras, folders, and the splits of a store."""
