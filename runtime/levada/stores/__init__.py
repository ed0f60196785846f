"""What implements `levada.store.Store`: a module a kind of place."""
