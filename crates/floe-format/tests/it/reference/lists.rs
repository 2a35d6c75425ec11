//! §5.4 and the cuts of §7.

use floe_format::FrameId;

use super::frames::{Run, m};
use crate::trees::Member;

pub(crate) struct Segment {
    pub(crate) runs: Vec<Run>,
    pub(crate) members: Vec<usize>,
    /// The member it begins with, or whose content it begins with.
    pub(crate) first: Option<usize>,
    pub(crate) lead: usize,
    pub(crate) has_end: bool,
}

fn u64_of(id: &FrameId) -> u128 {
    u64::from_le_bytes(id.as_bytes()[..8].try_into().unwrap()).into()
}

/// Runs, entries and weight of some runs.
fn measure(members: &[Member], runs: &[Run]) -> (usize, usize, usize) {
    let entries: Vec<usize> = runs.iter().flat_map(|run| run.members.clone()).collect();
    let weights: usize = entries.iter().map(|&e| 96 + m(&members[e].0)).sum();
    (runs.len(), entries.len(), 32 + 48 * runs.len() + weights)
}

pub(crate) fn segments(members: &[Member], all: &[Run]) -> Vec<Segment> {
    let (end, body) = all.split_last().unwrap();
    let mut cuts = vec![0];
    for i in 0..body.len() {
        let start = *cuts.last().unwrap();
        let (runs, entries, weight) = measure(members, &body[start..=i]);
        if i > start && (runs > 64 || entries > 1024 || weight > 512 * 1024) {
            cuts.push(i);
        }
        let start = *cuts.last().unwrap();
        let (runs, entries, _) = measure(members, &body[start..=i]);
        let below = u128::max(1 << 61, body[i].members.len() as u128 * (1 << 57));
        if (runs >= 4 || entries >= 64) && u64_of(&FrameId::of(&body[i].plain)) < below && i + 1 < body.len()
        {
            cuts.push(i + 1);
        }
    }
    cuts.push(body.len());
    let mut segments = Vec::new();
    for cut in cuts.windows(2) {
        let mut runs = body[cut[0]..cut[1]].to_vec();
        let has_end = cut[1] == body.len();
        let members: Vec<usize> = runs.iter().flat_map(|run| run.members.clone()).collect();
        let leading = runs.iter().take_while(|run| run.members.is_empty());
        segments.push(Segment {
            lead: leading.map(|run| run.count * run.plain.len()).sum(),
            first: runs.first().and_then(|run| run.file.or(run.members.first().copied())),
            has_end,
            runs: {
                if has_end {
                    runs.push(end.clone());
                }
                runs
            },
            members,
        });
    }
    segments
}

#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) id: FrameId,
    pub(crate) length: usize,
    pub(crate) entries: usize,
    pub(crate) path: Vec<u8>,
}

pub(crate) fn weight(items: &[Item]) -> usize {
    items.iter().map(|item| 64 + item.path.len()).sum()
}

pub(crate) fn cut(items: &[Item]) -> Vec<Vec<Item>> {
    let mut lists: Vec<Vec<Item>> = vec![vec![]];
    for item in items {
        let open = lists.last_mut().unwrap();
        if !open.is_empty() && 32 + weight(open) + weight(std::slice::from_ref(item)) > 512 * 1024 {
            lists.push(vec![]);
        }
        let open = lists.last_mut().unwrap();
        open.push(item.clone());
        if open.len() == 32 || open.len() >= 8 && u64_of(&item.id) < 1 << 61 {
            lists.push(vec![]);
        }
    }
    lists.retain(|list| !list.is_empty());
    lists
}
