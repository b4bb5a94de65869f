"""Certificates: your own, of an authority of this machine, or by ACME."""
