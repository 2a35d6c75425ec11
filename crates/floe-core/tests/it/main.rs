//! The integration tests of `floe-core`, in one binary.

mod protocol_model;
