"""The shapes of road users and of what stands in work zones."""
