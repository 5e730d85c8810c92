"""Two programs behind two NATs, in network namespaces of their own."""
