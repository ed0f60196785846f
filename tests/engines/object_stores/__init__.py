"""Real servers of object stores for the tests: S3, Google Cloud Storage and Azure."""
