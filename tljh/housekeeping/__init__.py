"""Part: room on the disk: a bounded journal, and caches that are pruned."""
