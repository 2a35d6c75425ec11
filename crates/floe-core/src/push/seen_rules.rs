//! What the ignore files of each directory were when it was last listed.
//!
//! One that is there no more, or an old one that came with a directory, is not younger than what the packs have; that it is
//! another than before tells as well that what was read may be what nobody should have.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::source::{Listing, Stat};

/// By hashes of their paths, hashes of what they were.
#[derive(Debug, Default)]
pub(super) struct SeenRules {
    hashes: RandomState,
    files: HashMap<u64, Option<u64>>,
}

impl SeenRules {
    /// Notes those of a directory, and returns one that was another when this was asked before.
    pub(super) fn note(&mut self, listing: &Listing) -> Option<&'static str> {
        let Self { hashes, files } = self;
        let is = |stat: &Stat| {
            hashes.hash_one((stat.device, stat.inode, stat.size, stat.kind, stat.modified, stat.changed))
        };
        let mut another = None;
        for file in listing.rules() {
            let place = hashes.hash_one((listing.path(), file.name));
            let now = file.stat.as_ref().map(is);
            let before = files.insert(place, now);
            another = another.or_else(|| before.is_some_and(|before| before != now).then_some(file.name));
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
        let mut changed = || {
            let exclusions = Exclusions { caches: true, ..Exclusions::default() };
            let walk =
                Walk::new(source.path(), &WalkOptions { exclusions, ..WalkOptions::default() }).unwrap();
            let listings = walk.map(|listing| listing.unwrap());
            let changed =
                listings.filter_map(|listing| Some((listing.path().to_vec(), seen.note(&listing)?)));
            changed
                .map(|(path, file)| format!("{}/{file}", String::from_utf8(path).unwrap()))
                .collect::<Vec<_>>()
        };
        assert!(changed().is_empty());
        assert!(changed().is_empty());
        fs::remove_file(at("a/.floeignore")).unwrap();
        fs::write(at("d/new"), "y").unwrap();
        fs::rename(at("d/new"), at("d/.floeignore")).unwrap();
        fs::write(at("c/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55").unwrap();
        // With the times that it has.
        fs::rename(at("b"), at("away")).unwrap();
        fs::rename(at("old"), at("b")).unwrap();
        assert_eq!(changed(), ["a/.floeignore", "b/.floeignore", "c/CACHEDIR.TAG", "d/.floeignore"]);
        assert!(changed().is_empty());
    }
}
