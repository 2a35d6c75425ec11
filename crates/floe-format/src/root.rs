//! Roots: what a snapshot is named by (`docs/format.md` §8).

use crate::cut::Parameters;
use crate::head::{put_head, read_head};
use crate::index_segment::{MAX_LEVEL, read_items, sums, write_items};
use crate::tree::{Kept, Meta, XattrList, Xattrs, read_mode};
use crate::wire::{WireReader, WireWrite};
use crate::{Error, Item, Result, TAR_BLOCK_BYTES, TAR_END};

/// The most bytes of a root.
pub const MAX_ROOT_BYTES: usize = 1 << 20;

const MAGIC: &[u8; 4] = b"FLRT";
const FLAG_REPRODUCIBLE: u8 = 1;

/// The root of a tree. Its bytes give the [`SnapshotId`](crate::SnapshotId).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// What is kept of each entry.
    pub kept: Kept,
    /// Whether the snapshot is reproducible; see [`EntryRef::is_reproducible`](crate::EntryRef::is_reproducible).
    pub reproducible: bool,
    /// How it was cut.
    pub parameters: Parameters,
    /// Length of the canonical tar, with the end.
    pub length: u64,
    /// Number of entries.
    pub entries: u64,
    /// How many of them are of kind file.
    pub files: u64,
    /// Their sizes, added up.
    pub file_bytes: u64,
    /// Mode, time and owner of the tree's own directory.
    pub directory: Meta,
    /// The extended attributes of the tree's own directory.
    pub xattrs: XattrList,
    /// 0: the items are segments; *n*: index segments of level *n*.
    pub level: u8,
    /// 1 to 32.
    pub items: Vec<Item>,
}

impl Root {
    /// Decodes a root's bytes.
    ///
    /// # Errors
    /// `Corrupt` for bytes that break the format; `Unsupported` for a version, kind or flags that are not known.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = WireReader::new("root", bytes);
        if bytes.len() > MAX_ROOT_BYTES {
            return Err(reader.corrupt("it is over 1 MiB"));
        }
        read_head(&mut reader, MAGIC)?;
        let kept = Kept::from_bits(reader.u8()?)?;
        let flags = reader.u8()?;
        if flags & !FLAG_REPRODUCIBLE != 0 {
            return Err(reader.unsupported(format_args!("flags {flags:#x}")));
        }
        let parameters = Parameters::read(&mut reader)?;
        let length = reader.uv()?;
        let entries = reader.uv()?;
        let files = reader.uv()?;
        let file_bytes = reader.uv()?;
        let mode = read_mode(&mut reader)?;
        let directory = Meta::read_kept(mode, &mut reader, kept)?;
        let xattrs = if kept.contains(Kept::XATTRS) {
            Xattrs::read(&mut reader, 0)?.to_list()
        } else {
            XattrList::default()
        };
        let level = reader.u8()?;
        let items = read_items(&mut reader)?;
        let root = Self {
            kept,
            reproducible: flags & FLAG_REPRODUCIBLE != 0,
            parameters,
            length,
            entries,
            files,
            file_bytes,
            directory,
            xattrs,
            level,
            items,
        };
        root.check().map_err(|what| reader.corrupt(what))?;
        reader.end()?;
        Ok(root)
    }

    /// The root's bytes.
    ///
    /// # Errors
    /// `Invalid` where it breaks the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.parameters.validate()?;
        self.check().map_err(|what| Error::invalid(format!("root: {what}")))?;
        let mut bytes = Vec::new();
        put_head(&mut bytes, MAGIC);
        let flags = if self.reproducible { FLAG_REPRODUCIBLE } else { 0 };
        bytes.extend_from_slice(&[self.kept.bits(), flags]);
        self.parameters.write(&mut bytes);
        bytes.put_uv(self.length);
        bytes.put_uv(self.entries);
        bytes.put_uv(self.files);
        bytes.put_uv(self.file_bytes);
        bytes.put_uv(u64::from(self.directory.mode));
        self.directory.write_kept(&mut bytes);
        if self.kept.contains(Kept::XATTRS) {
            self.xattrs.as_xattrs().write(&mut bytes);
        }
        bytes.push(self.level);
        write_items(&self.items, &mut bytes)?;
        if bytes.len() > MAX_ROOT_BYTES {
            return Err(Error::invalid("a root cannot have over 1 MiB"));
        }
        Ok(bytes)
    }

    /// Says what is wrong with all but the parameters, and the order and number of items.
    fn check(&self) -> Result<(), &'static str> {
        self.directory.check(self.kept)?;
        if !self.xattrs.as_xattrs().is_empty() && !self.kept.contains(Kept::XATTRS) {
            return Err("the tree's directory has xattrs, and none are kept");
        }
        if self.reproducible && (self.kept != Kept::NONE || self.directory.mode != 0o755) {
            return Err("it is reproducible, and keeps what differs from machine to machine");
        }
        if self.level > MAX_LEVEL {
            return Err("a level over 8");
        }
        if sums(&self.items) != Some((self.length, self.entries)) {
            return Err("its items do not add up to its length and entries");
        }
        // Every entry has a header, and a file its content, before the end.
        let least = u128::from(self.entries) * TAR_BLOCK_BYTES as u128 + u128::from(self.file_bytes);
        if u128::from(self.length) < least + TAR_END.len() as u128
            || self.files > self.entries
            || self.files == 0 && self.file_bytes > 0
        {
            return Err("its length, entries, files and their bytes do not agree");
        }
        let is_empty = self.entries == 0;
        if is_empty && (self.level > 0 || self.items.len() > 1 || self.length != TAR_END.len() as u64) {
            return Err("an empty tree that is not one segment with just the end");
        }
        if self.items.iter().any(|item| item.path.is_empty() != is_empty) {
            return Err("an item's path is empty exactly in an empty tree");
        }
        Ok(())
    }
}
