//! Floe's formats: bytes in, values out.
//!
//! Encoders and decoders for everything that `docs/format.md` specifies. This crate does no I/O, reads no clock
//! and holds no `unsafe`.

mod error;
mod frame;
mod ids;
mod layout;
mod pack;
mod snapshot_object;
mod units;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
pub use frame::{Codec, Compressor, Decompressor, MAX_FRAME_PLAIN, MAX_FRAME_STORED};
pub use ids::{ContentHash, FrameId, LayoutId, LeaseId, NamespaceId, PackId, SnapshotId, Sum128, Token};
pub use layout::{ItemHasher, Layout, LayoutItem, LayoutPack, MAX_LAYOUT_PACKS, MAX_ROOT_ITEMS};
pub use pack::{
    FrameRecord, MAX_PACK_LEN, MAX_WRITTEN_PACK_LEN, MIN_DIRECTORY_LEN, MIN_PACK_LEN, MIN_TAIL_LEN,
    PACK_FOOTER_LEN, PACK_HEAD_LEN, PackDirectory, PackFooter, PackFrame, PackHead, PackMetadataWriter,
    PackSummary, PackTail, PackWriter,
};
pub use snapshot_object::{MAX_LAYOUT_LEN, MAX_ROOT_LEN, MAX_SNAPSHOT_OBJECT_LEN, SnapshotObject};
pub use units::{LogicalOffset, StoredOffset};
