"""Azure Files' REST interface, as far as jobs read and write shares; for tests, in a thread: Azurite has no files."""
