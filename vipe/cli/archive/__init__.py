"""Commands about motion and the store made of it: skeletons, ingest, what the store holds, and its clips to look at."""
