//! Real storage servers on loopback, for tests.
