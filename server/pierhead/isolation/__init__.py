"""Isolation: requests that are worked on in a process of their own each, from a pool that is forked ahead.

    worker ──► nursery ──► process, process, ...
       └──────── one link each ───────┘

A worker has an event loop, from which it is not safe to fork. So before it has one it forks its *nursery*: a
process with the application and nothing else, which forks processes when the worker asks, and says how they
ended. The worker talks to each process over a link, a pair of sockets: `frames` go over it, and descriptors.

`layer` stands around an application and decides what is isolated; `pool` keeps the processes; `call` and
`conversation` have one of them answer a request or converse over a WebSocket; `process` is the other end.
"""
