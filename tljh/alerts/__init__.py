"""Part: alerts by mail and webhooks, sent by a timer that needs no running hub."""
