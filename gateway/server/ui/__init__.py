"""``/ui``: what happens here, for people to look at. It changes nothing and stores nothing.

Every page is whole without JavaScript; a small script renews it. What comes from configurations, providers and clients
is text: templates escape it, and the content security policy lets no other script or style in.
"""

from gateway.server.ui.site import routes

__all__ = ["routes"]
