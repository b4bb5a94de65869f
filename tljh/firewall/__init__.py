"""Part: a firewall for incoming connections, as an nftables table of tljh."""
