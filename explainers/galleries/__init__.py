"""What a gallery is made of: where its pictures come from, how it is built and kept, and what is reckoned on it."""
