//! What the ignore files of each directory were when it was last listed.
//!
//! One that is there no more, or an old one that came with a directory, is not younger than what the packs have; that it is
//! another than before tells as well that what was read may be what nobody should have.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::source::{Exclusions, Listing, Stat, compare_directories, is_cache_tag};

/// Those that were there, and how far directories were listed.
#[derive(Debug, Default)]
pub(super) struct SeenRules {
    hashes: RandomState,
    /// By hashes of their paths, hashes of what they were.
    files: HashMap<u64, u64>,
    /// Those that were there when the packs were begun anew.
    settled: HashMap<u64, u64>,
    /// The last directory, in the order of a walk, that was listed in this pass, and in any before.
    last: Option<Vec<u8>>,
    last_before: Option<Vec<u8>>,
}

impl SeenRules {
    /// Begins another pass.
    pub(super) fn begin(&mut self) {
        let later = |last: &Vec<u8>| {
            self.last_before.as_ref().is_none_or(|before| compare_directories(last, before).is_gt())
        };
        if let Some(last) = self.last.take().filter(later) {
            self.last_before = Some(last);
        }
    }

    /// Forgets all passes, for the packs are begun anew; what was seen is older than whatever will be in them.
    pub(super) fn settle(&mut self) {
        self.settled.extend(self.files.drain());
        (self.last, self.last_before) = (None, None);
    }

    /// Notes those of a directory, and returns one that was another in a pass before, or that is not known to be older than
    /// what is in the packs: neither `is_old` nor what it was before they were begun.
    pub(super) fn note(&mut self, listing: &Listing, is_old: impl Fn(&Stat) -> bool) -> Option<&'static str> {
        let Self { hashes, files, settled, last, last_before } = self;
        let path = listing.path();
        let was_listed = last_before.as_ref().is_some_and(|before| compare_directories(path, before).is_le());
        *last = Some(path.to_vec());
        let is = |stat: &Stat| {
            hashes.hash_one((stat.device, stat.inode, stat.size, stat.kind, stat.modified, stat.changed))
        };
        let mut another = None;
        let all = Exclusions { gitignore: true, caches: true, ..Exclusions::default() };
        for name in all.rule_files() {
            let now = listing.rules().iter().find(|file| file.name == name && file.stat.is_some());
            let stat = now.and_then(|file| file.stat.as_ref());
            let now = stat.map(is);
            let place = hashes.hash_one((path, name));
            let before = match now {
                Some(now) => files.insert(place, now),
                None => files.remove(&place),
            };
            let is_gone_tag = is_cache_tag(name) && now.is_none();
            let is_young = stat.is_some_and(|stat| !is_old(stat)) && settled.get(&place) != now.as_ref();
            if is_young || was_listed && before != now && !is_gone_tag {
                another = another.or(Some(name));
            }
        }
        another
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::{Exclusions, Walk, WalkOptions};

    #[test]
    fn what_ignore_files_were_before_is_known() {
        let source = tempfile::tempdir().unwrap();
        let at = |name: &str| source.path().join(name);
        for name in ["a/.floeignore", "b/file", "old/.floeignore", "c/file", "d/.floeignore"] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "x").unwrap();
        }
        let mut seen = SeenRules::default();
        let changed = |seen: &mut SeenRules, is_old: bool| {
            seen.begin();
            let exclusions = Exclusions { caches: true, ..Exclusions::default() };
            let walk =
                Walk::new(source.path(), &WalkOptions { exclusions, ..WalkOptions::default() }).unwrap();
            let listings = walk.map(|listing| listing.unwrap());
            let changed = listings
                .filter_map(|listing| Some((listing.path().to_vec(), seen.note(&listing, |_| is_old)?)));
            changed
                .map(|(path, file)| format!("{}/{file}", String::from_utf8(path).unwrap()))
                .collect::<Vec<_>>()
        };
        assert!(changed(&mut seen, true).is_empty());
        assert!(changed(&mut seen, true).is_empty());
        // Those that are not known to be older than the packs, until these are begun anew.
        for _ in 0..2 {
            assert_eq!(changed(&mut seen, false), ["a/.floeignore", "d/.floeignore", "old/.floeignore"]);
        }
        seen.settle();
        assert!(changed(&mut seen, false).is_empty());
        assert!(changed(&mut seen, false).is_empty());
        fs::remove_file(at("a/.floeignore")).unwrap();
        fs::write(at("d/new"), "y").unwrap();
        fs::rename(at("d/new"), at("d/.floeignore")).unwrap();
        fs::write(at("c/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55").unwrap();
        // With the times that it has; and where no directory is in the other.
        fs::rename(at("b"), at("away")).unwrap();
        fs::rename(at("old"), at("b")).unwrap();
        assert_eq!(
            changed(&mut seen, true),
            ["a/.floeignore", "b/.floeignore", "c/CACHEDIR.TAG", "d/.floeignore"]
        );
        assert!(changed(&mut seen, true).is_empty());
        fs::remove_file(at("c/CACHEDIR.TAG")).unwrap();
        assert!(changed(&mut seen, true).is_empty());
    }
}
