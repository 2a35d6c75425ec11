//! Groups of entries.

use super::Parameters;
use crate::ids::leading_u64;
use crate::{EntryRef, tar_header_len, tar_len};

/// What grouping asks of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEntry<'a> {
    /// The path.
    pub path: &'a [u8],
    /// *t(e)*: length of its tar bytes, for a big file of its headers alone.
    pub tar_len: u64,
    /// *m(e)*; see [`EntryRef::metadata_len`].
    pub metadata_len: u64,
    /// Whether it is a file that is cut into chunks of its own.
    pub is_big: bool,
}

impl<'a> GroupEntry<'a> {
    /// What grouping asks of this entry. A file's hash is not needed.
    #[inline]
    pub fn of(entry: &EntryRef<'a>, parameters: &Parameters) -> Self {
        let is_big = parameters.is_big(entry.body.size());
        let tar_len = if is_big { tar_header_len(entry) as u64 } else { tar_len(entry) };
        Self { path: entry.path, tar_len, metadata_len: entry.metadata_len() as u64, is_big }
    }
}

/// Where groups end around an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCut {
    /// The group so far ends before the entry.
    pub before: bool,
    /// The group with the entry ends after it.
    pub after: bool,
}

/// Cuts sorted entries into groups. After the last entry the open group ends, if there is one.
///
/// What went before a cut has no effect after it: a grouper may begin at any group.
#[derive(Clone, Debug)]
pub struct Grouper {
    group_min: u64,
    group_max: u64,
    tar_len: u64,
    metadata_len: u64,
}

impl Grouper {
    /// A grouper with no group open.
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            group_min: u64::from(parameters.group_min),
            group_max: u64::from(parameters.group_max),
            tar_len: 0,
            metadata_len: 0,
        }
    }

    /// Whether a group is open, thus has an entry.
    pub fn is_open(&self) -> bool {
        self.tar_len > 0
    }

    /// Takes the next entry.
    #[inline]
    pub fn add(&mut self, entry: &GroupEntry<'_>) -> GroupCut {
        let before = self.is_open()
            && (self.tar_len + entry.tar_len > self.group_max
                || self.metadata_len + entry.metadata_len > self.group_max);
        if before {
            self.end();
        }
        self.tar_len += entry.tar_len;
        self.metadata_len += entry.metadata_len;
        let after = entry.is_big || self.tar_len >= self.group_min && self.ends_by_hash(entry);
        if after {
            self.end();
        }
        GroupCut { before, after }
    }

    fn end(&mut self) {
        self.tar_len = 0;
        self.metadata_len = 0;
    }

    fn ends_by_hash(&self, entry: &GroupEntry<'_>) -> bool {
        let hash = leading_u64(blake3::hash(entry.path).as_bytes());
        u128::from(hash) * u128::from(self.group_min) < u128::from(entry.tar_len) << 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where groups end before an entry. The path's hash ends none, so that the sums alone are at work.
    fn cuts(entries: &[(u64, u64)]) -> Vec<bool> {
        let parameters = Parameters { group_min: 512 << 10, group_max: 512 << 10, ..Parameters::default() };
        let mut grouper = Grouper::new(&parameters);
        let mut cuts = Vec::new();
        for &(tar_len, metadata_len) in entries {
            let cut = grouper.add(&GroupEntry { path: b"a path", tar_len, metadata_len, is_big: false });
            assert!(!cut.after && grouper.is_open());
            cuts.push(cut.before);
        }
        cuts
    }

    #[test]
    fn a_group_may_be_just_as_long_as_its_maximum() {
        let max = 512 << 10;
        assert_eq!(cuts(&[(max - 512, 1), (512, 1)]), [false, false]);
        assert_eq!(cuts(&[(max - 512, 1), (1024, 1)]), [false, true]);
        assert_eq!(cuts(&[(512, max - 1), (512, 1)]), [false, false]);
        assert_eq!(cuts(&[(512, max - 1), (512, 2)]), [false, true]);
        assert_eq!(cuts(&[(512, 2 * max), (512, 1), (512, 1)]), [false, true, false]);
    }
}
