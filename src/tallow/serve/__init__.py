"""Servers: pages in a browser for what the layers below can do, on one's own machine."""
