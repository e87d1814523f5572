"""What the web says of a router's candidates: searched for, summed up, kept with its sources, put before designators.

::

    queries ── search ── summarise ── store            llm-relay intelligence refresh, the only writer
    store or lockfile ── feed ── a new generation      the gateway, off the request path
"""
