//! What differs between two snapshots, or between a snapshot and a directory.
//!
//! Both sides are merged in the canonical order, in constant memory. Segments and index segments that both sides have at
//! the same point are not read: cutting by content brings the sides together again soon after a difference.

mod directory;

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::path::Path;

use floe_format::{Entry, Kept, Meta, OwnedBody, Root, Segment, compare_paths};

use crate::namespace::Namespace;
use crate::reader::{Reach, SegmentWalk, Sources, Span, shown};
use crate::snapshot::Snapshot;
use crate::{Error, ErrorKind, Result};

pub use directory::{DiffOptions, diff_directory};

/// In what way something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is not there before.
    Added,
    /// It is not there after.
    Removed,
    /// Kind, content, link target or device are another.
    Content,
    /// Only mode, time, owner or xattrs are others.
    Metadata,
}

/// One entry that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the second side has it.
    Added(Entry),
    /// Only the first side has it.
    Removed(Entry),
    /// Both have it, and it is not the same.
    Changed {
        /// What it is on the first side.
        before: Entry,
        /// What it is on the second.
        after: Entry,
        /// Whether kind, content, link target or device differ, and not only mode, time, owner or xattrs.
        content: bool,
    },
}

impl Change {
    /// In what way it differs.
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Added(_) => ChangeKind::Added,
            Self::Removed(_) => ChangeKind::Removed,
            Self::Changed { content: true, .. } => ChangeKind::Content,
            Self::Changed { content: false, .. } => ChangeKind::Metadata,
        }
    }

    /// The path of the entry; that of the tree's own directory is empty.
    pub fn path(&self) -> &[u8] {
        match self {
            Self::Added(entry) | Self::Removed(entry) | Self::Changed { after: entry, .. } => &entry.path,
        }
    }
}

/// Shows what differs from `before` to `after`, in the canonical order.
///
/// What one of them does not keep (times, owners, xattrs) is not compared.
///
/// # Errors
///
/// Corrupt: a segment is not what its id says, or no entries of a tree. What the store answers, and what `each` returns.
pub async fn diff(
    namespace: &Namespace,
    before: &Snapshot,
    after: &Snapshot,
    cache: Option<&Path>,
    each: &mut (dyn FnMut(Change) -> Result<()> + Send),
) -> Result<()> {
    if before.at().snapshot == after.at().snapshot {
        return Ok(());
    }
    let mut left = Side::open(namespace, before, cache).await?;
    let mut right = Side::open(namespace, after, cache).await?;
    let xattrs = left.keeps_xattrs && right.keeps_xattrs;
    if let Some(change) = compare(own_directory(before.root()), own_directory(after.root()), xattrs) {
        each(change)?;
    }
    loop {
        skip_equal(&mut left, &mut right).await?;
        left.fill().await?;
        right.fill().await?;
        let order = match (left.entries.front(), right.entries.front()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => compare_paths(&left.path, &right.path),
        };
        let before = if order.is_le() { left.entries.pop_front() } else { None };
        let after = if order.is_ge() { right.entries.pop_front() } else { None };
        match (before, after) {
            (Some(before), Some(after)) => {
                if let Some(change) = compare(before, after, xattrs) {
                    each(change)?;
                }
            }
            (Some(before), None) => each(Change::Removed(before))?,
            (None, Some(after)) => each(Change::Added(after))?,
            (None, None) => {}
        }
    }
}

/// What differs between two entries of one path, if anything does.
fn compare(before: Entry, after: Entry, compares_xattrs: bool) -> Option<Change> {
    fn differ<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
        a.zip(b).is_some_and(|(a, b)| a != b)
    }
    let content = before.body != after.body;
    let xattrs = compares_xattrs && before.xattrs != after.xattrs;
    let meta = before.mode != after.mode
        || differ(before.mtime, after.mtime)
        || differ(before.owner, after.owner)
        || xattrs;
    (content || meta).then_some(Change::Changed { before, after, content })
}

/// The directory that a tree is the content of, which no segment lists.
fn own_directory(root: &Root) -> Entry {
    let Meta { mode, mtime, owner } = root.directory;
    Entry { path: Vec::new(), mode, mtime, owner, body: OwnedBody::Directory, xattrs: root.xattrs.clone() }
}

/// Leaves out what both sides list next, as long as they are at the end of what they have read.
async fn skip_equal(left: &mut Side, right: &mut Side) -> Result<()> {
    while left.entries.is_empty() && right.entries.is_empty() {
        let (Some(a), Some(b)) = (left.peek(), right.peek()) else { return Ok(()) };
        if a == b {
            left.walk.skip();
            right.walk.skip();
        } else if a.1 == 0 && b.1 == 0 {
            return Ok(());
        } else {
            // The lists that stand higher are opened first, so that both are looked at side by side.
            if a.1 >= b.1 {
                left.enter().await?;
            }
            if b.1 >= a.1 {
                right.enter().await?;
            }
        }
    }
    Ok(())
}

/// One snapshot, as the merge goes through it.
struct Side {
    walk: SegmentWalk,
    sources: Sources,
    entries: VecDeque<Entry>,
    last: Vec<u8>,
    keeps_xattrs: bool,
}

impl Side {
    async fn open(namespace: &Namespace, snapshot: &Snapshot, cache: Option<&Path>) -> Result<Self> {
        let items = 0..u32::try_from(snapshot.root().items.len()).unwrap_or(u32::MAX);
        Ok(Self {
            walk: SegmentWalk::new(snapshot, Span::All),
            sources: Sources::open(namespace, snapshot, cache, &[items], Reach::Metadata).await?,
            entries: VecDeque::new(),
            last: Vec::new(),
            keeps_xattrs: snapshot.root().kept.contains(Kept::XATTRS),
        })
    }

    fn peek(&mut self) -> Option<(floe_format::FrameId, u8)> {
        self.walk.peek().map(|(item, level)| (item.id, level))
    }

    /// Opens what comes next.
    async fn enter(&mut self) -> Result<()> {
        let Some(listed) = self.walk.enter(&mut self.sources.metadata).await? else { return Ok(()) };
        let in_segment =
            |e: floe_format::Error| Error::from(e).in_object(format_args!("segment {}", listed.item.id));
        let segment = Segment::parse(&listed.plain).map_err(in_segment)?;
        segment.check_listed(&listed.item).map_err(in_segment)?;
        let mut entries = segment.entries();
        while let Some(entry) = entries.next()? {
            if !self.last.is_empty() && compare_paths(&self.last, entry.path).is_ge() {
                let message =
                    format!("the snapshot's entry {} comes out of order or twice", shown(entry.path));
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            self.last.clear();
            self.last.extend_from_slice(entry.path);
            self.entries.push_back(entry.to_entry());
        }
        Ok(())
    }

    /// Sees to it that there is an entry, unless there are no more.
    async fn fill(&mut self) -> Result<()> {
        while self.entries.is_empty() && self.walk.peek().is_some() {
            self.enter().await?;
        }
        Ok(())
    }
}
