"""One method of explanation in each file; the registry finds them by looking here."""
