"""Part: snapshots of the homes by a timer, where the file system can make them."""
