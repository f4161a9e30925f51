"""Worlds in which the truth is known: their pictures, their networks, and what each part of a picture really does."""
