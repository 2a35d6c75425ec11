//! Fixtures and stores for the tests of Floe.
