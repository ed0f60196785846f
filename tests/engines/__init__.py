"""Real orchestrators for the tests, each installed and started by its own module here."""
