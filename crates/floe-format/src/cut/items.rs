//! Index segments of items.

use std::ops::Range;

use crate::Item;

use crate::MAX_ITEMS;
const MIN_ITEMS: usize = 8;
const MAX_WEIGHT: usize = 512 << 10;
const LIST_WEIGHT: usize = 32;
const ITEM_WEIGHT: usize = 64;

fn weight(item: &Item) -> usize {
    ITEM_WEIGHT + item.path.len()
}

/// Whether a list is too much for a root.
pub(crate) fn needs_cut(items: &[Item]) -> bool {
    items.len() > MAX_ITEMS || LIST_WEIGHT + items.iter().map(weight).sum::<usize>() > MAX_WEIGHT
}

/// Which items of a list make an index segment each.
pub(crate) fn cut_items(items: &[Item]) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut start = 0;
    let mut open = LIST_WEIGHT;
    for (i, item) in items.iter().enumerate() {
        if i > start && open + weight(item) > MAX_WEIGHT {
            cuts.push(start..i);
            start = i;
            open = LIST_WEIGHT;
        }
        open += weight(item);
        let count = i + 1 - start;
        if count == MAX_ITEMS || count >= MIN_ITEMS && item.id.leading_u64() < 1 << 61 {
            cuts.push(start..i + 1);
            start = i + 1;
            open = LIST_WEIGHT;
        }
    }
    if start < items.len() {
        cuts.push(start..items.len());
    }
    cuts
}
