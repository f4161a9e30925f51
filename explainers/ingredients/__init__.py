"""What several methods share: pieces and covers, draws, directions, and what is told on the way."""
