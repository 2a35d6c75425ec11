//! Floe's formats: bytes in, values out.
//!
//! Encoders and decoders for everything that `docs/format.md` specifies. This crate does no I/O, reads no clock
//! and holds no `unsafe`.

mod error;
mod frame;
mod ids;
mod units;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
pub use frame::{Codec, Compressor, Decompressor, MAX_FRAME_PLAIN, MAX_FRAME_STORED};
pub use ids::{ContentHash, FrameId, LayoutId, LeaseId, NamespaceId, PackId, SnapshotId, Sum128, Token};
pub use units::{LogicalOffset, StoredOffset};
