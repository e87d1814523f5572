"""Which candidate answers: pure functions over a request and a generation. No I/O, no clock but the one handed in."""
