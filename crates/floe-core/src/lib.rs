//! The engine of Floe: stores, refs, leases, push and pull.
//!
//! It prints nothing, reads no environment and never exits the process. `docs/architecture.md` tells how its
//! modules fit together.

pub mod destination;
mod error;
pub mod store;
pub mod source;

pub use error::{Error, ErrorKind, Result};
