"""The HTTP surface: Litestar's routes, on Granian."""
