//! From a root through index segments to segments.

use floe_format::{FrameId, IndexSegment, Item};

use crate::snapshot::Snapshot;
use crate::{Error, Result};

use super::metadata::{Following, Metadata};
use super::span::Span;

/// A segment that a walk came to.
#[derive(Debug)]
pub(crate) struct ListedSegment {
    /// What lists it.
    pub(crate) item: Item,
    /// The root item it is reached from.
    pub(crate) root_item: u32,
    /// Its plain bytes, which have the item's id.
    pub(crate) plain: Vec<u8>,
    /// Whether it is the one right after the one before.
    pub(crate) follows: bool,
}

/// Goes through the segments of a snapshot that a span touches, in order.
#[derive(Debug)]
pub(crate) struct SegmentWalk {
    span: Span,
    lists: Vec<List>,
    /// Whether nothing was left out since the last segment.
    follows: bool,
}

#[derive(Debug)]
struct List {
    items: Vec<Item>,
    next: usize,
    /// 0: the items are segments.
    level: u8,
    /// Path of what follows the list.
    after: Option<Item>,
}

impl SegmentWalk {
    /// Walks a snapshot's segments.
    pub(crate) fn new(snapshot: &Snapshot, span: Span) -> Self {
        let root = snapshot.root();
        let list = List { items: root.items.clone(), next: 0, level: root.level, after: None };
        Self { span, lists: vec![list], follows: true }
    }

    /// The root items that a walk of this span will ask for.
    pub(crate) fn root_items(snapshot: &Snapshot, span: &Span) -> Vec<std::ops::Range<u32>> {
        let items = &snapshot.root().items;
        (0u32..)
            .zip(items)
            .filter(|(number, item)| span.touches(item, items.get(*number as usize + 1)))
            .map(|(number, _)| number..number + 1)
            .collect()
    }

    /// What comes next, and the item that lists it: an index segment of which nothing was read yet, or a segment. It is
    /// to be entered, or left out.
    pub(crate) fn peek(&mut self) -> Option<(&Item, u8)> {
        loop {
            let list = self.lists.last_mut()?;
            if list.next == list.items.len() {
                if self.lists.len() == 1 {
                    return None;
                }
                self.lists.pop();
                continue;
            }
            let after = list.items.get(list.next + 1).or(list.after.as_ref());
            if self.span.touches(&list.items[list.next], after) {
                break;
            }
            list.next += 1;
            self.follows = false;
        }
        let list = self.lists.last()?;
        Some((&list.items[list.next], list.level))
    }

    /// Whether any entry of another span may be in what [`peek`](Self::peek) shows.
    pub(crate) fn next_touches(&self, span: &Span) -> bool {
        self.lists.last().is_some_and(|list| {
            let after = list.items.get(list.next + 1).or(list.after.as_ref());
            list.items.get(list.next).is_some_and(|item| span.touches(item, after))
        })
    }

    /// Leaves out what [`peek`](Self::peek) showed.
    pub(crate) fn skip(&mut self) {
        if let Some(list) = self.lists.last_mut() {
            list.next += 1;
            self.follows = false;
        }
    }

    /// Enters an index segment, or hands out a segment.
    pub(crate) async fn enter(&mut self, metadata: &mut Metadata) -> Result<Option<ListedSegment>> {
        if self.peek().is_none() {
            return Ok(None);
        }
        let Some(list) = self.lists.last_mut() else { return Ok(None) };
        let item = list.items[list.next].clone();
        let after = list.items.get(list.next + 1).or(list.after.as_ref()).cloned();
        let known: Vec<FrameId> = (list.next + 1..list.items.len())
            .take_while(|&at| {
                self.span.touches(&list.items[at], list.items.get(at + 1).or(list.after.as_ref()))
            })
            .map(|at| list.items[at].id)
            .collect();
        let is_rest = list.next + 1 + known.len() == list.items.len();
        let goes_on = is_rest && list.after.as_ref().is_some_and(|after| self.span.touches(after, None));
        list.next += 1;
        let level = list.level;
        let root_item = u32::try_from(self.lists[0].next - 1).unwrap_or(u32::MAX);
        let following = if self.span == Span::All && level == 0 {
            Following::All
        } else if goes_on {
            Following::More(&known)
        } else {
            Following::Only(&known)
        };
        let plain = metadata.read(&item.id, following).await?;
        if level == 0 {
            let follows = std::mem::replace(&mut self.follows, true);
            return Ok(Some(ListedSegment { item, root_item, plain, follows }));
        }
        let index = IndexSegment::parse(&plain)
            .and_then(|index| index.check_listed(&item, level).map(|()| index))
            .map_err(|e| Error::from(e).in_object(format_args!("index segment {}", item.id)))?;
        self.lists.push(List { items: index.items, next: 0, level: level - 1, after });
        Ok(None)
    }

    /// The next segment.
    pub(crate) async fn next(&mut self, metadata: &mut Metadata) -> Result<Option<ListedSegment>> {
        while self.peek().is_some() {
            if let Some(segment) = self.enter(metadata).await? {
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }
}
