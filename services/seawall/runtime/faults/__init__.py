"""Where a process misbehaves on purpose: its links, calls, clock, disk and replica, or all of it.

Each module is one such place. It does nothing, and costs next to nothing, until a fault acts there;
who may ask for one, for how long, and what it is called is the matter of `seawall.chaos`.
"""
