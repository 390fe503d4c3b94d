"""`./kit new`: a project of one's own, made from an example, a proxy's files and the kit's database."""
