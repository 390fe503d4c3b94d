"""What `./kit` runs: the stack of docker-compose.yml as local processes, from packages."""
