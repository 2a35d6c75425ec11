//! Entries as a segment codes them.

use std::ops::Range;

use crate::tree::{
    Body, EntryKind, EntryRef, Kept, MAX_DEVICE_NUMBER, MAX_FILE_BYTES, MAX_PATH_BYTES, MAX_TARGET_BYTES,
    Meta, PathCursor, Xattrs, check_link, check_target, read_mode, read_u32,
};
use crate::wire::{WireReader, WireWrite};
use crate::{ContentHash, Result};

/// Added to an entry's kind when xattrs follow.
const XATTRS_FOLLOW: u8 = 0x80;

/// An entry as it is coded: valid but for its path, and for what its target has to do with that.
pub(super) struct CodedEntry<'a> {
    shared: usize,
    suffix: &'a [u8],
    meta: Meta,
    body: Body<'a>,
    xattrs: Xattrs<'a>,
}

impl<'a> CodedEntry<'a> {
    #[inline]
    pub(super) fn read(reader: &mut WireReader<'a>, kept: Kept) -> Result<Self> {
        let kind_byte = reader.u8()?;
        let Some(kind) = kind_of(kind_byte & !XATTRS_FOLLOW) else {
            return Err(reader.unsupported(format_args!("an entry of kind {kind_byte:#x}")));
        };
        let shared = reader.length(MAX_PATH_BYTES, "shared length")?;
        let suffix = reader.bytes(MAX_PATH_BYTES - shared, "path")?;
        let mode = match kind {
            EntryKind::Symlink => 0o777,
            _ => read_mode(reader)?,
        };
        let own_kept = if kind == EntryKind::HardLink { Kept::NONE } else { kept };
        let meta = Meta::read_kept(mode, reader, own_kept)?;
        let body = read_body(reader, kind)?;
        let mut xattrs = Xattrs::default();
        if kind_byte & XATTRS_FOLLOW != 0 {
            if !own_kept.contains(Kept::XATTRS) {
                return Err(reader.corrupt("xattrs of an entry that has none"));
            }
            xattrs = Xattrs::read(reader, 1)?;
        }
        Ok(Self { shared, suffix, meta, body, xattrs })
    }
}

/// Appends a valid entry whose path begins with `shared` bytes of the one before it.
#[inline]
pub(super) fn write(entry: &EntryRef<'_>, shared: usize, out: &mut Vec<u8>) {
    let kind = entry.kind();
    let follow = if entry.xattrs.is_empty() { 0 } else { XATTRS_FOLLOW };
    out.push(kind as u8 | follow);
    out.put_uv(shared as u64);
    out.put_bytes(&entry.path[shared..]);
    if kind != EntryKind::Symlink {
        out.put_uv(u64::from(entry.mode));
    }
    entry.meta().write_kept(out);
    match entry.body {
        Body::Directory | Body::Fifo => {}
        Body::File { size, hash } => {
            out.put_uv(size);
            if let Some(hash) = hash {
                out.extend_from_slice(hash.as_bytes());
            }
        }
        Body::Symlink { target } | Body::HardLink { target } => out.put_bytes(target),
        Body::CharDevice { major, minor } | Body::BlockDevice { major, minor } => {
            out.put_uv(u64::from(major));
            out.put_uv(u64::from(minor));
        }
    }
    if !entry.xattrs.is_empty() {
        entry.xattrs.write(out);
    }
}

fn kind_of(number: u8) -> Option<EntryKind> {
    Some(match number {
        1 => EntryKind::Directory,
        2 => EntryKind::File,
        3 => EntryKind::Symlink,
        4 => EntryKind::HardLink,
        5 => EntryKind::Fifo,
        6 => EntryKind::CharDevice,
        7 => EntryKind::BlockDevice,
        _ => return None,
    })
}

#[inline]
fn read_body<'a>(reader: &mut WireReader<'a>, kind: EntryKind) -> Result<Body<'a>> {
    Ok(match kind {
        EntryKind::Directory => Body::Directory,
        EntryKind::File => {
            let size = reader.uv_max(MAX_FILE_BYTES, "size")?;
            let hash = if size > 0 { Some(ContentHash::from_bytes(reader.array()?)) } else { None };
            Body::File { size, hash }
        }
        EntryKind::Symlink => {
            let target = reader.bytes(MAX_TARGET_BYTES, "target")?;
            check_target(target).map_err(|what| reader.corrupt(what))?;
            Body::Symlink { target }
        }
        EntryKind::HardLink => Body::HardLink { target: reader.bytes(MAX_PATH_BYTES, "target")? },
        EntryKind::Fifo => Body::Fifo,
        EntryKind::CharDevice => {
            let (major, minor) = read_numbers(reader)?;
            Body::CharDevice { major, minor }
        }
        EntryKind::BlockDevice => {
            let (major, minor) = read_numbers(reader)?;
            Body::BlockDevice { major, minor }
        }
    })
}

fn read_numbers(reader: &mut WireReader<'_>) -> Result<(u32, u32)> {
    let major = read_u32(reader, MAX_DEVICE_NUMBER, "major number")?;
    let minor = read_u32(reader, MAX_DEVICE_NUMBER, "minor number")?;
    Ok((major, minor))
}

/// The entries of a segment, one at a time: each is good until the next is asked for, and the path has one buffer for all.
#[derive(Clone, Debug)]
pub struct SegmentEntries<'a> {
    reader: WireReader<'a>,
    left: usize,
    kept: Kept,
    cursor: PathCursor,
}

impl<'a> SegmentEntries<'a> {
    /// The `count` entries that a reader comes to next.
    pub(super) fn new(reader: WireReader<'a>, count: usize, kept: Kept) -> Self {
        Self { reader, left: count, kept, cursor: PathCursor::default() }
    }

    /// What comes after the entries, once all were read.
    pub(super) fn into_rest(self) -> WireReader<'a> {
        self.reader
    }

    /// The place where a segment's `count` entries begin.
    pub(super) fn start(bytes: Range<usize>, count: usize, kept: Kept) -> EntriesPlace {
        EntriesPlace { bytes, left: count, kept, cursor: PathCursor::default() }
    }

    /// Where the next entry is.
    pub fn place(&self) -> EntriesPlace {
        let bytes = self.reader.offset()..self.reader.offset() + self.reader.remaining();
        EntriesPlace { bytes, left: self.left, kept: self.kept, cursor: self.cursor.clone() }
    }

    /// The next entry, checked: valid, and after the one before it. After an error there is none.
    ///
    /// # Errors
    /// `Corrupt` for an entry that is not; `Unsupported` for a kind that is not known.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its buffer")]
    pub fn next(&mut self) -> Result<Option<EntryRef<'_>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let left = std::mem::take(&mut self.left) - 1;
        let coded = CodedEntry::read(&mut self.reader, self.kept)?;
        self.cursor.advance(coded.shared, coded.suffix, false).map_err(|what| self.reader.corrupt(what))?;
        let path = self.cursor.path();
        if let Body::HardLink { target } = coded.body {
            check_link(target, path).map_err(|what| self.reader.corrupt(what))?;
        }
        self.left = left;
        Ok(Some(EntryRef {
            path,
            mode: coded.meta.mode,
            mtime: coded.meta.mtime,
            owner: coded.meta.owner,
            body: coded.body,
            xattrs: coded.xattrs,
        }))
    }

    /// Number of entries that are still to come.
    pub fn left(&self) -> usize {
        self.left
    }
}

/// Where in a segment entries were come to, to go on from there at another time without passing those before it again.
#[derive(Clone, Debug)]
pub struct EntriesPlace {
    /// The bytes of the entries to come, in the segment's plain bytes.
    bytes: Range<usize>,
    left: usize,
    kept: Kept,
    /// The path of the entry before.
    cursor: PathCursor,
}

impl EntriesPlace {
    /// The entries from here on, read from the plain bytes of the same segment.
    pub fn entries<'a>(&self, plain: &'a [u8]) -> SegmentEntries<'a> {
        let bytes = &plain[..self.bytes.end.min(plain.len())];
        SegmentEntries {
            reader: WireReader::starting_at("entries of a segment", bytes, self.bytes.start),
            left: self.left,
            kept: self.kept,
            cursor: self.cursor.clone(),
        }
    }
}
