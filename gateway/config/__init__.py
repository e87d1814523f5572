"""The configuration: documents as written, and the snapshot that requests are served from.

:func:`gateway.config.load.load` is the way in, :class:`gateway.config.model.Snapshot` what comes out.
"""
