//! §5.3.

use floe_format::{Entry, Parameters};

use super::tar::{headers, padded};
use crate::trees::Member;

/// A run of §5.4: a group, equal chunks of one file, or the end.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) plain: Vec<u8>,
    pub(crate) count: usize,
    /// The members whose headers are in it.
    pub(crate) members: Vec<usize>,
    /// The member whose content it has, of a chunk.
    pub(crate) file: Option<usize>,
}

/// *m(e)*.
pub(crate) fn m(entry: &Entry) -> usize {
    let entry = entry.as_entry();
    let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    entry.path.len() + entry.body.target().len() + xattrs
}

fn is_big(p: &Parameters, member: &Member) -> bool {
    member.1.len() > p.small_max as usize
}

/// The bytes of *e* that are in its group.
fn grouped(p: &Parameters, member: &Member) -> Vec<u8> {
    let mut bytes = headers(&member.0);
    if !is_big(p, member) {
        bytes.extend(padded(&member.1));
    }
    bytes
}

/// How many of the members from `first` on are a group.
fn group_len(p: &Parameters, members: &[Member], first: usize) -> usize {
    let mut tar = 0;
    let mut metadata = 0;
    for (count, member) in members[first..].iter().enumerate() {
        let t = grouped(p, member).len();
        if count > 0 && (tar + t > p.group_max as usize || metadata + m(&member.0) > p.group_max as usize) {
            return count;
        }
        tar += t;
        metadata += m(&member.0);
        let hash = u64::from_le_bytes(blake3::hash(&member.0.path).as_bytes()[..8].try_into().unwrap());
        let ends = u128::from(hash) * u128::from(p.group_min) < (t as u128) << 64;
        if is_big(p, member) || tar >= p.group_min as usize && ends {
            return count + 1;
        }
    }
    members.len() - first
}

fn table() -> Vec<u64> {
    let mut bytes = vec![0; 2048];
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"floe gear table 1");
    hasher.finalize_xof().fill(&mut bytes);
    bytes.chunks(8).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect()
}

/// Length of the first chunk of a content, by the sum of the specification.
pub(crate) fn chunk_len(p: &Parameters, content: &[u8]) -> usize {
    let t = table();
    let bits = (0..32).find(|bits| 1 << bits == p.chunk_avg).unwrap();
    for n in p.chunk_min as usize..=content.len() {
        if n == p.chunk_max as usize {
            return n;
        }
        let mut h = 0u64;
        for i in 0..64 {
            h = h.wrapping_add(t[usize::from(content[n - 1 - i])] << i);
        }
        let zeros = if n < p.chunk_avg as usize { bits + 2 } else { bits - 2 };
        if h.leading_zeros() >= zeros {
            return n;
        }
    }
    content.len()
}

pub(crate) fn runs(p: &Parameters, members: &[Member]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut first = 0;
    while first < members.len() {
        let end = first + group_len(p, members, first);
        let plain = members[first..end].iter().flat_map(|member| grouped(p, member)).collect();
        runs.push(Run { plain, count: 1, members: (first..end).collect(), file: None });
        let last = &members[end - 1];
        if is_big(p, last) {
            let content = padded(&last.1);
            let mut rest = &content[..];
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(chunk_len(p, rest));
                match runs.last_mut() {
                    Some(run) if run.file == Some(end - 1) && run.plain == chunk => run.count += 1,
                    _ => runs.push(Run {
                        plain: chunk.to_vec(),
                        count: 1,
                        members: vec![],
                        file: Some(end - 1),
                    }),
                }
                rest = after;
            }
        }
        first = end;
    }
    runs.push(Run { plain: vec![0; 1024], count: 1, members: vec![], file: None });
    runs
}
