"""Part: updates of the distribution by themselves, and the reboots that they need."""
