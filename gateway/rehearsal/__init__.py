"""Requests without a client and without candidates: for the routers' tests, and to explain one decision.

A rehearsal is the gateway's own relay, from the decoded request to the account of it. Three things are played: the
client, the candidates (they answer a few words, or fail as told; nobody is dialled), and the designator, whose answers
come from a recording or from a test's author, unless it is to be asked.
"""
