"""One protocol a module, its report beside it; gallery, queries and scoring are those of `study` and `scoring`."""
