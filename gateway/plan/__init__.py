"""What a change to the configuration does, before it is merged: ``llm-relay plan``.

::

    base.checked_out     the configuration to compare with: a folder, or a git commit
    config.diff          what differs, router by router
    prompts.changed      what the designators will read
    corpus.read          example requests, decided under both configurations ── moves.compare
    answers              what designators say to them: sandbox, recordings, or asked now
    drawn.draw           past requests of which a gateway kept a sample, decided like example requests
    traffic.replay       past requests from the ledger, under both configurations
    report.Report        all of that; text, markdown and JSON are three ways to print it
"""
