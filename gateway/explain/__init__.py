"""One decision, step by step. Nothing is sent to a candidate.

The steps are those of the gateway itself, watched in a rehearsal (:mod:`gateway.rehearsal`); what is told beside them
comes from the same pure functions that decide.

::

    steps.explain        one request, watched ── assessments.view: what the designator reads of a candidate, or why not
    views.Explanation    what is told of it, as data; text.render puts it in words
"""
