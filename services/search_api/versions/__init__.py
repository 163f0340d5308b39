"""What is served: published versions from the store to memory, and the corpus they are about."""
