"""`./kit matrix`: what an application sees behind each proxy, found out by real requests."""
