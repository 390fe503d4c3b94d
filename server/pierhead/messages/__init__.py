"""What protocols, interfaces and applications exchange: requests, responses, WebSockets and their parts."""
