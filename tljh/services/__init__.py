"""Part: services of the hub that run here, each in a systemd unit and under an own account."""
