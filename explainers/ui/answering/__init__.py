"""From what the browser sent to what it shows: the question, its work, and the answers."""
