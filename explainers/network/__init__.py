"""A network as it is: what it is fed, how it is built, what its outputs mean; asked, never changed."""
