"""Options that several commands take: people in images, their cameras, and folders."""
