//! Trees of tars against the simplest way to make them: paths in a map.

use std::collections::BTreeMap;

use floe_format::{compare_paths, parent_and_name};
use proptest::prelude::*;

use super::*;
use crate::source::spool::record::MADE_DIRECTORY;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Directory,
    File,
    Large,
    Fifo,
    LinkTo(&'static str),
}

/// A path, which member it is, and how many names that has.
type Row = (String, Option<usize>, u32);

const PATHS: [&str; 12] =
    ["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/b/a", "a-", "a-/b", "x", "a/x", "a/x/a"];

/// What is larger is left out.
const LARGEST: u64 = 10;

fn model(members: &[(&'static str, Kind)], filters: bool) -> Result<Vec<Row>, String> {
    let mut history: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, (path, _)) in members.iter().enumerate() {
        history.entry(path).or_default().push(number);
    }
    let sorted = |mut paths: Vec<String>| {
        paths.sort_by(|a, b| compare_paths(a.as_bytes(), b.as_bytes()));
        paths
    };
    let mut tree: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for path in sorted(history.keys().map(|path| (*path).to_owned()).collect()) {
        let mut way = vec![*history[&*path].last().unwrap()];
        let bad = |what| Err(format!("the hard link `{path}` in the tar {what}"));
        while let Kind::LinkTo(target) = members[way[way.len() - 1]].1 {
            let Some(named) = history.get(target) else { return bad("names nothing in the tar") };
            let before = named.iter().filter(|number| **number < way[way.len() - 1]).max();
            let next = *before.unwrap_or(&named[named.len() - 1]);
            if way.contains(&next) {
                return bad("comes back to itself");
            }
            way.push(next);
        }
        let end = way[way.len() - 1];
        if way.len() > 1 && members[end].1 == Kind::Directory {
            return bad("names a directory");
        }
        tree.insert(path, Some(end));
    }
    let is_directory =
        |member: Option<usize>| member.is_none_or(|number| members[number].1 == Kind::Directory);
    for path in sorted(tree.keys().cloned().collect()) {
        let mut above = parent_and_name(path.as_bytes()).0;
        while !above.is_empty() {
            let outer = String::from_utf8(above.to_vec()).unwrap();
            if !is_directory(*tree.entry(outer.clone()).or_insert(None)) {
                return Err(format!("`{path}` in the tar is below `{outer}`, which is not a directory"));
            }
            above = parent_and_name(above).0;
        }
    }
    if filters {
        tree.retain(|path, member| {
            let is_large = member.is_some_and(|number| members[number].1 == Kind::Large);
            !is_large && path.split('/').all(|name| name != "x")
        });
    }
    let names = |member: Option<usize>| match member {
        Some(number) if matches!(members[number].1, Kind::File | Kind::Large) => {
            u32::try_from(tree.values().filter(|other| **other == member).count()).unwrap()
        }
        _ => 1,
    };
    let rows = sorted(tree.keys().cloned().collect()).into_iter().map(|path| {
        let member = tree[&path];
        (path, member, names(member))
    });
    Ok(rows.collect())
}

fn built(members: &[(&'static str, Kind)], filters: bool) -> Result<Vec<Row>, String> {
    let globs = if filters { vec!["x".to_owned()] } else { vec![] };
    let larger_than_bytes = filters.then_some(LARGEST);
    let filter = Filter::new(&Exclusions { globs, larger_than_bytes, ..Exclusions::default() }).unwrap();
    let mut tree = TreeBuilder::new(filter, None).unwrap();
    let file = |size| Body::File { size, start: 0, hash: None };
    for (number, (path, kind)) in (0..).zip(members) {
        let body = match kind {
            Kind::Directory => Body::Directory,
            Kind::File => file(LARGEST),
            Kind::Large => file(LARGEST + 1),
            Kind::Fifo => Body::Fifo,
            Kind::LinkTo(target) => Body::HardLink(tree.keep_target(target.as_bytes()).unwrap()),
        };
        // Which member it is, is told by its owner; no directory that is made has this group.
        let member = Member { body, user: number, group: 7, ..MADE_DIRECTORY };
        tree.add(path.as_bytes(), &member).unwrap();
    }
    let tree = tree.finish().map_err(|e| e.to_string())?;
    let spool = Arc::new(Spool { tree, contents: crate::scratch::scratch_file(None).unwrap() });
    let mut rows = Vec::new();
    for listing in spool.listings().map(Result::unwrap) {
        let directory = String::from_utf8(listing.path().to_vec()).unwrap();
        assert!(listing.is_first() && listing.is_last());
        assert!(*listing.stat() == stat_at(&spool, &directory));
        for child in listing.children() {
            let (_, found) = spool.read_member(listing.path(), child.name).unwrap();
            assert_eq!(found, *child.stat);
            let path = String::from_utf8(join(listing.path(), child.name)).unwrap();
            assert_eq!(stat_at(&spool, &path), found);
            let member = (found.gid == 7).then_some(found.uid as usize);
            assert_eq!(found.inode, member.map_or(0, |number| number as u64 + 1));
            rows.push((path, member, found.links));
        }
    }
    for path in PATHS {
        let is_there = rows.iter().any(|(other, ..)| other == path);
        assert_eq!(spool.tree.find(path.as_bytes(), b"").is_some(), is_there, "{path}");
    }
    Ok(rows)
}

fn members() -> impl Strategy<Value = Vec<(&'static str, Kind)>> {
    let path = || proptest::sample::select(&PATHS[..]);
    let kind = prop_oneof![
        3 => Just(Kind::Directory),
        6 => Just(Kind::File),
        1 => Just(Kind::Large),
        1 => Just(Kind::Fifo),
        4 => path().prop_map(Kind::LinkTo),
    ];
    let top = proptest::sample::select(&["a", "b", "a-", "x"][..]);
    // More often a tree than something below what is none.
    let member = prop_oneof![
        2 => (path(), kind.clone()),
        1 => (top, Just(Kind::Directory)),
        1 => (proptest::sample::select(&["a/a/a", "a/b/a", "a-/b", "b/a", "a/x/a"][..]), kind),
    ];
    proptest::collection::vec(member, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_tar_is_the_tree_that_its_members_make(members in members(), filters in any::<bool>()) {
        prop_assert_eq!(built(&members, filters), model(&members, filters));
    }
}
