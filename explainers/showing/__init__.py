"""How answers become pictures, and the same in words."""
