"""What is run from a terminal: `python -m explainers`, and the check of the documents' tables."""
