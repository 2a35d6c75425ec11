//! Trees: what an entry is, and the canonical tar of entries (`docs/format.md` §5.1, §5.2).

mod entry;
mod kept;
mod path;
mod tar;
mod xattrs;

pub use entry::{
    Body, Entry, EntryKind, EntryRef, MAX_DEVICE_NUMBER, MAX_FILE_BYTES, MAX_TARGET_BYTES, OwnedBody,
};
pub(crate) use entry::{check_link, check_target};
pub use kept::{Kept, Meta, Owner, Timestamp};
pub(crate) use kept::{read_mode, read_u32};
pub use path::{MAX_NAME_BYTES, MAX_PATH_BYTES, compare_paths, parent_and_name, validate_path};
pub(crate) use path::{PathCursor, Shown};
pub use tar::{TAR_BLOCK_BYTES, TAR_END, tar_header, tar_header_len, tar_len, tar_padding};
pub use xattrs::{MAX_XATTR_NAME_BYTES, MAX_XATTRS_BYTES, XattrList, Xattrs};
