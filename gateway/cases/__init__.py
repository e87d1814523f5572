"""The routers' own tests: run in rehearsal, judged, and reported."""
