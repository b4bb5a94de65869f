"""Ways onto the machine past the hub: SSH, user managers, polkit, cron, at, and their limits."""
