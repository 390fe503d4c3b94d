"""Processes, sockets and signals; knows neither HTTP nor applications, but for the worker."""
