"""A driving scenario: from its spec to the files of its shard."""
