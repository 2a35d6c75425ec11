//! Index segments, and the lists of items that they and roots hold (`docs/format.md` §7).

use crate::cut::{cut_items, needs_cut};
use crate::head::{put_head, read_head};
use crate::tree::PathCursor;
use crate::wire::{WireReader, WireWrite};
use crate::{Error, FrameId, Result};

/// The most plain bytes of an index segment.
pub const MAX_INDEX_SEGMENT_BYTES: usize = 1 << 20;

/// The most items of an index segment or a root.
pub const MAX_ITEMS: usize = 32;

/// The highest level of an index segment.
pub const MAX_LEVEL: u8 = 8;

const MAGIC: &[u8; 4] = b"FIDX";

/// What a root or index segment says of a segment, or of an index segment one level down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    /// The id of the (index) segment.
    pub id: FrameId,
    /// Length of the tar bytes it covers.
    pub length: u64,
    /// Number of entries in it.
    pub entries: u64,
    /// The path of its first entry or, if it begins with a lead, of that lead's file. Empty for the only segment of an empty
    /// tree.
    pub path: Vec<u8>,
}

/// The length and the number of entries that a list of items covers; none over 64 bits.
pub(crate) fn sums(items: &[Item]) -> Option<(u64, u64)> {
    items.iter().try_fold((0u64, 0u64), |(length, entries), item| {
        Some((length.checked_add(item.length)?, entries.checked_add(item.entries)?))
    })
}

/// Appends the number of items and the items.
pub(crate) fn write_items(items: &[Item], out: &mut Vec<u8>) -> Result<()> {
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(Error::invalid(format!("a list has 1 to {MAX_ITEMS} items, not {}", items.len())));
    }
    out.put_uv(items.len() as u64);
    let mut cursor = ItemCursor::new(items.len());
    for item in items {
        let shared = cursor.paths.shared_with(&item.path);
        cursor
            .advance(item.length, shared, &item.path[shared..])
            .map_err(|what| Error::invalid(format!("item {}: {what}", item.id)))?;
        out.extend_from_slice(item.id.as_bytes());
        out.put_uv(item.length);
        out.put_uv(item.entries);
        out.put_uv(shared as u64);
        out.put_bytes(&item.path[shared..]);
    }
    Ok(())
}

/// Reads the number of items and the items. Only a list of one may have an empty path.
pub(crate) fn read_items(reader: &mut WireReader<'_>) -> Result<Vec<Item>> {
    let count = reader.length(MAX_ITEMS, "number of items")?;
    if count == 0 {
        return Err(reader.corrupt("it lists nothing"));
    }
    let mut items = Vec::with_capacity(count);
    let mut cursor = ItemCursor::new(count);
    for _ in 0..count {
        let id = FrameId::from_bytes(reader.array()?);
        let length = reader.uv()?;
        let entries = reader.uv()?;
        let shared = reader.length(crate::MAX_PATH_BYTES, "shared length")?;
        let suffix = reader.bytes(crate::MAX_PATH_BYTES - shared, "path")?;
        cursor.advance(length, shared, suffix).map_err(|what| reader.corrupt(what))?;
        items.push(Item { id, length, entries, path: cursor.paths.path().to_vec() });
    }
    Ok(items)
}

/// Checks the items of a list one after another.
struct ItemCursor {
    is_only: bool,
    paths: PathCursor,
}

impl ItemCursor {
    fn new(count: usize) -> Self {
        Self { is_only: count == 1, paths: PathCursor::default() }
    }

    fn advance(&mut self, length: u64, shared: usize, suffix: &[u8]) -> Result<(), &'static str> {
        if length == 0 {
            return Err("an item that covers nothing");
        }
        if self.is_only && shared == 0 && suffix.is_empty() {
            return Ok(());
        }
        // A file that goes on names several items, one after another.
        self.paths.advance(shared, suffix, true)
    }
}

/// A list of segments, or of index segments one level down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSegment {
    /// 1: it lists segments; *n* + 1: it lists index segments of level *n*.
    pub level: u8,
    /// 1 to 32.
    pub items: Vec<Item>,
}

impl IndexSegment {
    /// Decodes an index segment's plain bytes.
    ///
    /// # Errors
    /// `Corrupt` for bytes that break the format; `Unsupported` for a version or kind that is not known.
    pub fn parse(plain: &[u8]) -> Result<Self> {
        let mut reader = WireReader::new("index segment", plain);
        if plain.len() > MAX_INDEX_SEGMENT_BYTES {
            return Err(reader.corrupt("it is over 1 MiB"));
        }
        read_head(&mut reader, MAGIC)?;
        let level = reader.u8()?;
        if !(1..=MAX_LEVEL).contains(&level) {
            return Err(reader.corrupt(format_args!("level {level}")));
        }
        reader.reserved(1)?;
        let items = read_items(&mut reader)?;
        if items[0].path.is_empty() {
            return Err(reader.corrupt("an item without a path"));
        }
        if sums(&items).is_none() {
            return Err(reader.corrupt("its items cover over 2^64 bytes"));
        }
        reader.end()?;
        Ok(Self { level, items })
    }

    /// The plain bytes.
    ///
    /// # Errors
    /// `Invalid` for a level or items that no index segment may have.
    pub fn to_plain(&self) -> Result<Vec<u8>> {
        if !(1..=MAX_LEVEL).contains(&self.level) {
            return Err(Error::invalid(format!("an index segment cannot be of level {}", self.level)));
        }
        if self.items.iter().any(|item| item.path.is_empty()) || sums(&self.items).is_none() {
            return Err(Error::invalid("an index segment with an empty path, or over 2^64 bytes"));
        }
        let mut plain = Vec::new();
        put_head(&mut plain, MAGIC);
        plain.extend_from_slice(&[self.level, 0]);
        write_items(&self.items, &mut plain)?;
        if plain.len() > MAX_INDEX_SEGMENT_BYTES {
            return Err(Error::invalid("an index segment cannot have over 1 MiB"));
        }
        Ok(plain)
    }

    /// Checks that it is what the item that lists it says, in a list that has items of `level`.
    ///
    /// # Errors
    /// `Corrupt` where it is not.
    pub fn check_listed(&self, item: &Item, level: u8) -> Result<()> {
        let agrees = self.level == level
            && sums(&self.items) == Some((item.length, item.entries))
            && self.items.first().is_some_and(|first| first.path == item.path);
        if agrees {
            Ok(())
        } else {
            Err(Error::corrupt(format!("index segment {}: it is not what the list of it says", item.id)))
        }
    }
}

/// An index segment that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIndexSegment {
    /// The id of its plain bytes.
    pub id: FrameId,
    /// Its plain bytes.
    pub plain: Vec<u8>,
    /// What it lists.
    pub content: IndexSegment,
}

/// What [`build_index`] makes of a list of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The index segments, those of level 1 first.
    pub segments: Vec<BuiltIndexSegment>,
    /// The level of the root: that of the last index segments, 0 without any.
    pub level: u8,
    /// The items of the root.
    pub items: Vec<Item>,
}

/// Cuts a list of segments into index segments, level by level, until a root holds what is left.
///
/// # Errors
/// `Invalid` where eight levels are not enough.
pub fn build_index(segments: Vec<Item>) -> Result<Index> {
    let mut index = Index { segments: Vec::new(), level: 0, items: segments };
    while needs_cut(&index.items) {
        if index.level == MAX_LEVEL {
            return Err(Error::invalid("a tree with over eight levels of index segments"));
        }
        index.level += 1;
        let mut above = Vec::new();
        let cuts = cut_items(&index.items);
        // Moved, not copied: in a deep tree the paths are most of what a push has in memory.
        let mut items = std::mem::take(&mut index.items).into_iter();
        for range in cuts {
            let content =
                IndexSegment { level: index.level, items: items.by_ref().take(range.len()).collect() };
            let plain = content.to_plain()?;
            let id = FrameId::of(&plain);
            let (length, entries) =
                sums(&content.items).ok_or_else(|| Error::invalid("a tree over 2^64 bytes"))?;
            above.push(Item { id, length, entries, path: content.items[0].path.clone() });
            index.segments.push(BuiltIndexSegment { id, plain, content });
        }
        index.items = above;
    }
    Ok(index)
}
