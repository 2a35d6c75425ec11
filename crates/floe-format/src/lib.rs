//! Floe's formats: bytes in, values out.
//!
//! Encoders and decoders for everything that `docs/format.md` specifies. This crate does no I/O, reads no clock
//! and holds no `unsafe`.

#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test may panic")
)]

mod content_hasher;
mod cut;
mod error;
mod frame;
mod head;
mod ids;
mod index_segment;
mod layout;
mod pack;
mod root;
mod segment;
mod snapshot_object;
mod tree;
mod units;
pub mod wire;

pub use content_hasher::ContentHasher;
pub use cut::{Chunker, GroupCut, GroupEntry, Grouper, Parameters, SegmentCutter};
pub use error::{Error, ErrorKind, Result};
pub use frame::{Codec, Compressor, DEFAULT_LEVEL, Decompressor, MAX_FRAME_PLAIN, MAX_FRAME_STORED};
pub use ids::{ContentHash, FrameId, LayoutId, LeaseId, NamespaceId, PackId, SnapshotId, Sum128, Token};
pub use index_segment::{
    BuiltIndexSegment, Index, IndexSegment, Item, MAX_INDEX_SEGMENT_BYTES, MAX_ITEMS, MAX_LEVEL, build_index,
};
pub use layout::{ItemHasher, Layout, LayoutItem, LayoutPack, MAX_LAYOUT_PACKS, MAX_ROOT_ITEMS};
pub use pack::{
    FrameRecord, MAX_PACK_LEN, MAX_WRITTEN_PACK_LEN, MIN_DIRECTORY_LEN, MIN_PACK_LEN, MIN_TAIL_LEN,
    PACK_FOOTER_LEN, PACK_HEAD_LEN, PackDirectory, PackFooter, PackFrame, PackHead, PackMetadataWriter,
    PackSummary, PackTail, PackWriter,
};
pub use root::{MAX_ROOT_BYTES, Root};
pub use segment::{
    Content, EntriesPlace, MAX_SEGMENT_BYTES, MAX_SEGMENT_ENTRIES, MAX_SEGMENT_RUNS, Run, Segment,
    SegmentBuilder, SegmentEntries,
};
pub use snapshot_object::{MAX_LAYOUT_LEN, MAX_ROOT_LEN, MAX_SNAPSHOT_OBJECT_LEN, SnapshotObject};
pub use tree::{
    Body, Entry, EntryKind, EntryRef, Kept, MAX_DEVICE_NUMBER, MAX_FILE_BYTES, MAX_NAME_BYTES,
    MAX_PATH_BYTES, MAX_TARGET_BYTES, MAX_XATTR_NAME_BYTES, MAX_XATTRS_BYTES, Meta, OwnedBody, Owner,
    TAR_BLOCK_BYTES, TAR_END, Timestamp, XattrList, Xattrs, compare_paths, parent_and_name, tar_header,
    tar_header_len, tar_len, tar_padding, validate_path,
};
pub use units::{LogicalOffset, StoredOffset};
