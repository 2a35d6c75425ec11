//! The cache against a table in memory, and against everything that can happen to a file.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use super::layout::HEADER_BYTES;
use super::*;
use crate::source::{Child, FileKind, FileTime, HashClock, Stat};

const LONG_AFTER: FileTime = FileTime { seconds: 2_000_000_000, nanos: 0 };

/// In walk order: directories compare as lists of components.
type Tree = BTreeMap<(Vec<Vec<u8>>, Vec<u8>), Stat>;

fn stat(inode: u64) -> Stat {
    let time = |add: u64| FileTime { seconds: 1_000_000_000, nanos: u32::try_from(inode + add).unwrap() };
    Stat {
        size: inode * 10,
        inode,
        device: 7,
        special: 0,
        modified: time(1),
        changed: time(2),
        links: 1,
        uid: 0,
        gid: 0,
        mode: 0o644,
        kind: FileKind::File,
    }
}

fn hash_of(stat: &Stat) -> ContentHash {
    *blake3::hash(format!("{stat:?}").as_bytes()).as_bytes()
}

/// Asks for every entry in order, records what is not known; what was known by number of entry.
fn pass(cache: &StatCache, tree: &Tree, hashing_began: FileTime) -> Vec<Option<ContentHash>> {
    let mut cursor = cache.cursor();
    let mut writer = cache.writer();
    let found: Vec<_> = tree
        .iter()
        .map(|((directory, name), stat)| {
            let path = directory.join(&b'/');
            let hit = cursor.lookup(&path, &Child { name, stat });
            (path, name, stat, hit)
        })
        .collect();
    for (path, name, stat, hit) in &found {
        let child = Child { name, stat };
        match hit {
            Some(hit) => writer.push_known(hit),
            None => writer.push_hashed(path, &child, &hash_of(stat), HashClock::at(hashing_began)),
        }
    }
    writer.finish().unwrap();
    found.into_iter().map(|(_, _, _, hit)| hit.map(|hit| hit.hash)).collect()
}

/// The same up to an entry, where the pass is broken off.
fn pass_up_to(cache: &StatCache, tree: &Tree, last: &(Vec<Vec<u8>>, Vec<u8>)) -> Vec<Option<ContentHash>> {
    let (mut cursor, mut writer) = (cache.cursor(), cache.writer());
    let mut found = Vec::new();
    for ((directory, name), stat) in tree {
        let (path, child) = (directory.join(&b'/'), Child { name, stat });
        let hit = cursor.lookup(&path, &child);
        found.push(hit.map(|hit| hit.hash));
        // Whoever looks up is ahead of who writes.
        match hit {
            _ if (directory, name) > (&last.0, &last.1) => {}
            Some(hit) => writer.push_known(&hit),
            None => writer.push_hashed(&path, &child, &hash_of(stat), HashClock::at(LONG_AFTER)),
        }
    }
    writer.finish_up_to(&last.0.join(&b'/'), &last.1).unwrap();
    found
}

/// The same by two threads that each take every other directory, and whose sections come in any order.
fn pass_in_sections(cache: &StatCache, tree: &Tree) -> Vec<Option<ContentHash>> {
    let mut cursors = [cache.cursor(), cache.cursor()];
    let mut sections = [CacheSections::default(), CacheSections::default()];
    let mut found = Vec::new();
    let entries: Vec<_> = (0..).zip(tree).collect();
    for (number, directory) in entries.chunk_by(|(_, a), (_, b)| a.0.0 == b.0.0).enumerate() {
        let mut section = CacheSection::default();
        for (ordinal, ((parent, name), stat)) in directory {
            let (path, child) = (parent.join(&b'/'), Child { name, stat });
            let hit = cursors[number % 2].lookup(&path, &child);
            found.push(hit.map(|hit| hit.hash));
            match hit {
                Some(hit) => section.push_known(*ordinal, &hit, &mut sections[number % 2]),
                None => {
                    if section.is_full() {
                        sections[number % 2].push(&mut section);
                    }
                    section.push_trusted(*ordinal, &path, &child, &hash_of(stat));
                }
            }
        }
        sections[number % 2].push(&mut section);
    }
    let [mut all, others] = sections;
    all.append(others);
    let mut writer = cache.writer();
    writer.push_sections(all, HashClock::at(LONG_AFTER));
    writer.finish().unwrap();
    found
}

fn open(directory: &tempfile::TempDir) -> StatCache {
    StatCache::open(&directory.path().join("caches"), Path::new("/source"))
}

fn wide(count: u64) -> Tree {
    let entry = |number: u64| {
        let directory = vec![format!("dir{:03}", number / 100).into_bytes()];
        ((directory, format!("file{number:06}").into_bytes()), stat(number))
    };
    (0..count).map(entry).collect()
}

#[derive(Clone, Debug)]
enum Edit {
    Put(Vec<Vec<u8>>, Vec<u8>, u64),
    Remove(prop::sample::Index),
    RemoveRun(prop::sample::Index, usize),
    Touch(prop::sample::Index, u8),
    AddRun(u8, u64, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let component = || prop::sample::select(vec![&b"a"[..], b"a-", b"a.b", b"b", b"dir003", b"\xff", b"zz"]);
    let component = move || component().prop_map(<[u8]>::to_vec);
    let index = any::<prop::sample::Index>;
    let edit = prop_oneof![
        (prop::collection::vec(component(), 0..4), component(), 0_u64..50)
            .prop_map(|(path, name, inode)| Edit::Put(path, name, inode)),
        index().prop_map(Edit::Remove),
        (index(), 1_usize..1500).prop_map(|(at, count)| Edit::RemoveRun(at, count)),
        (index(), 0_u8..8).prop_map(|(at, field)| Edit::Touch(at, field)),
        (any::<u8>(), 0_u64..100, 1_usize..1500)
            .prop_map(|(name, inode, count)| Edit::AddRun(name, inode, count)),
    ];
    prop::collection::vec(edit, 0..6)
}

fn touch(stat: &mut Stat, field: u8) {
    match field {
        0 => stat.size += 1,
        1 => stat.inode += 1,
        2 => stat.device += 1,
        3 => stat.modified.nanos += 1,
        4 => stat.changed.nanos += 1,
        5 => stat.modified.seconds -= 5_000_000_000,
        6 => stat.changed.seconds += 1,
        _ => stat.kind = if stat.kind == FileKind::File { FileKind::Symlink } else { FileKind::File },
    }
}

fn apply(tree: &mut Tree, edit: &Edit) {
    let key = |tree: &Tree, at: &prop::sample::Index| {
        (!tree.is_empty()).then(|| tree.keys().nth(at.index(tree.len())).unwrap().clone())
    };
    match edit {
        Edit::Put(path, name, inode) => {
            tree.insert((path.clone(), name.clone()), stat(*inode));
        }
        Edit::Remove(at) => tree.retain({
            let removed = key(tree, at);
            move |key, _| Some(key) != removed.as_ref()
        }),
        Edit::RemoveRun(at, count) => {
            if let Some(key) = key(tree, at) {
                let run: Vec<_> = tree.range(key..).map(|(key, _)| key.clone()).take(*count).collect();
                tree.retain(|key, _| run.binary_search(key).is_err());
            }
        }
        Edit::Touch(at, field) => {
            if let Some(key) = key(tree, at) {
                touch(tree.get_mut(&key).unwrap(), *field);
            }
        }
        Edit::AddRun(name, inode, count) => {
            let directory = vec![format!("run{name}").into_bytes()];
            for number in 0..*count as u64 {
                let name = format!("entry{number}").into_bytes();
                tree.insert((directory.clone(), name), stat(inode + number));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lookups_agree_with_a_table_after_any_edits(
        start in prop::sample::select(vec![0_u64, 1, 900, 5000]),
        rounds in prop::collection::vec((edits(), 0..3_u8, any::<prop::sample::Index>()), 1..6),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut tree = wide(start);
        let mut table: HashMap<_, (Stat, ContentHash)> = HashMap::new();
        for (edits, how, at) in rounds.iter().chain([&(Vec::new(), 0, rounds[0].2)]) {
            edits.iter().for_each(|edit| apply(&mut tree, edit));
            let cache = open(&directory);
            let last = tree.keys().nth(at.index(tree.len().max(1))).filter(|_| *how == 2).cloned();
            let found = match (how, &last) {
                (_, Some(last)) => pass_up_to(&cache, &tree, last),
                (1, None) => pass_in_sections(&cache, &tree),
                _ => pass(&cache, &tree, LONG_AFTER),
            };
            let expected: Vec<_> = tree
                .iter()
                .map(|(key, stat)| table.get(key).filter(|(known, _)| known == stat).map(|(_, hash)| *hash))
                .collect();
            prop_assert!(found == expected);
            // What was not come to is as it was.
            table.retain(|key, _| last.as_ref().is_some_and(|last| key > last));
            let told = tree.iter().filter(|(key, _)| last.as_ref().is_none_or(|last| *key <= last));
            table.extend(told.map(|(key, stat)| (key.clone(), (*stat, hash_of(stat)))));
        }
    }
}

#[test]
fn every_field_that_differs_is_a_miss_and_no_other_is() {
    let directory = tempfile::tempdir().unwrap();
    let key = (vec![b"dir".to_vec()], b"file".to_vec());
    let known = Tree::from([(key.clone(), stat(5))]);
    pass(&open(&directory), &known, LONG_AFTER);
    let cache = open(&directory);
    let lookup = |stat: &Stat| cache.cursor().lookup(b"dir", &Child { name: b"file", stat });
    for field in 0..8 {
        let mut changed = stat(5);
        touch(&mut changed, field);
        assert!(lookup(&changed).is_none(), "field {field}");
    }
    let same = Stat { mode: 0o600, uid: 9, gid: 9, links: 3, ..stat(5) };
    assert_eq!(lookup(&same).unwrap().hash, hash_of(&stat(5)));
}

#[test]
fn asking_on_after_the_end_or_backwards_finds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    pass(&open(&directory), &wide(3), LONG_AFTER);
    let mut cursor = open(&directory).cursor();
    let (known, other) = (stat(0), stat(9));
    assert!(cursor.lookup(b"z", &Child { name: b"file000000", stat: &other }).is_none());
    for path in [&b"z"[..], b"zz", b"", b"dir000"] {
        assert!(cursor.lookup(path, &Child { name: b"file000000", stat: &known }).is_none());
    }
}

#[test]
fn what_was_hashed_too_soon_is_not_recorded() {
    let tree = Tree::from([((vec![], b"file".to_vec()), stat(5))]);
    let changed = stat(5).changed;
    for (add, is_recorded) in [(19_999_999, false), (20_000_000, false), (20_000_001, true)] {
        let directory = tempfile::tempdir().unwrap();
        let began = FileTime { nanos: changed.nanos + add, ..changed };
        assert_eq!(pass(&open(&directory), &tree, began), [None]);
        assert_eq!(pass(&open(&directory), &tree, began)[0].is_some(), is_recorded, "{add}");
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_is_only_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = wide(3);
    apply(&mut tree, &Edit::Put(vec![b"other".to_vec()], b"name".to_vec(), 40));
    pass(&open(&directory), &tree, LONG_AFTER);
    let path = open(&directory).path;
    let sound = std::fs::read(&path).unwrap();
    let ask = |bytes: &[u8]| -> usize {
        std::fs::write(&path, bytes).unwrap();
        let mut cursor = open(&directory).cursor();
        let mut hits = 0;
        for ((parent, name), stat) in &tree {
            if let Some(hit) = cursor.lookup(&parent.join(&b'/'), &Child { name, stat }) {
                assert_eq!(hit.hash, hash_of(stat));
                hits += 1;
            }
        }
        hits
    };
    assert_eq!(ask(&sound), 4);
    for at in 0..sound.len() {
        for mask in [1, 0x80, 0xff] {
            let mut damaged = sound.clone();
            damaged[at] ^= mask;
            assert_eq!(ask(&damaged), 0, "byte {at}");
        }
        assert_eq!(ask(&sound[..at]), 0, "first {at} bytes");
        assert_eq!(ask(&[&sound[..at], &vec![0; sound.len() - at]].concat()), 0, "zeros from {at}");
    }
    assert_eq!(ask(&[&sound[..], b"x"].concat()), 0);
}

#[test]
fn a_damaged_block_is_forgotten_alone_and_the_next_pass_repairs_it() {
    let directory = tempfile::tempdir().unwrap();
    let tree = wide(5000);
    pass(&open(&directory), &tree, LONG_AFTER);
    let cache = open(&directory);
    let blocks = cache.file.as_ref().unwrap().blocks.clone();
    assert!(blocks.len() >= 5);
    let mut bytes = std::fs::read(&cache.path).unwrap();
    let second = HEADER_BYTES + blocks[0].length as usize;
    bytes[second + 1000] ^= 1;
    std::fs::write(&cache.path, bytes).unwrap();

    let found = pass(&open(&directory), &tree, LONG_AFTER);
    let lost = blocks[0].entries as usize..(blocks[0].entries + blocks[1].entries) as usize;
    for (number, hash) in found.iter().enumerate() {
        assert_eq!(hash.is_none(), lost.contains(&number), "entry {number}");
    }
    assert!(pass(&open(&directory), &tree, LONG_AFTER).iter().all(Option::is_some));
}

#[test]
fn a_table_longer_than_any_cache_has_is_not_read() {
    use std::os::unix::fs::FileExt;
    let directory = tempfile::tempdir().unwrap();
    let path = open(&directory).path;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    // A hole as long as no machine has memory, and a footer that says it is all table.
    let blocks = (1_u64 << 43) / 24;
    file.set_len(HEADER_BYTES as u64 + 24 * blocks + 32).unwrap();
    file.write_all_at(&blocks.to_le_bytes(), HEADER_BYTES as u64 + 24 * blocks).unwrap();
    assert!(open(&directory).file.is_none());
}

#[test]
fn a_cache_in_which_nothing_changed_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let tree = wide(2000);
    pass(&open(&directory), &tree, LONG_AFTER);
    let path = open(&directory).path;
    let inode = || std::fs::metadata(&path).unwrap().ino();
    let before = inode();
    pass(&open(&directory), &tree, LONG_AFTER);
    assert_eq!(inode(), before);
    for (number, edit) in [Edit::RemoveRun(index(0.9999), 1), Edit::Touch(index(0.5), 0)].iter().enumerate() {
        let mut other = tree.clone();
        apply(&mut other, edit);
        let before = inode();
        pass(&open(&directory), &other, LONG_AFTER);
        assert_ne!(inode(), before, "edit {number}");
        pass(&open(&directory), &tree, LONG_AFTER);
    }
}

fn index(fraction: f64) -> prop::sample::Index {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    // An index scales to any length; the nearest of many to the fraction wanted.
    let distance = |index: &prop::sample::Index| (index.index(100_000) as f64 / 100_000.0 - fraction).abs();
    (0..4000)
        .map(|_| any::<prop::sample::Index>().new_tree(&mut runner).unwrap().current())
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .unwrap()
}

#[test]
fn one_change_writes_one_block_anew_and_blocks_stay_large() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = wide(20_000);
    pass(&open(&directory), &tree, LONG_AFTER);
    let blocks = || open(&directory).file.unwrap().blocks.clone();
    let mut before = blocks();
    for round in 0..30_u64 {
        let key = tree.keys().nth(usize::try_from(round * 617 % 20_000).unwrap()).unwrap().clone();
        tree.insert(key, stat(100_000 + round));
        pass(&open(&directory), &tree, LONG_AFTER);
        let after = blocks();
        let kept = after.iter().filter(|block| before.contains(block)).count();
        assert!(kept + 3 >= before.len(), "round {round}: {kept} of {} blocks kept", before.len());
        before = after;
    }
    let bytes: u32 = before.iter().map(|block| block.length).sum();
    let average = bytes as usize / before.len();
    assert!(average >= 32 * 1024, "{average} bytes a block");
    assert!(bytes < 92 * 20_000, "{} bytes an entry", bytes / 20_000);
}

#[test]
fn another_source_or_version_is_another_cache() {
    let directory = tempfile::tempdir().unwrap();
    let tree = wide(3);
    pass(&open(&directory), &tree, LONG_AFTER);
    let other = StatCache::open(&directory.path().join("caches"), Path::new("/other"));
    assert!(pass(&other, &tree, LONG_AFTER).iter().all(Option::is_none));
    assert!(pass(&open(&directory), &tree, LONG_AFTER).iter().all(Option::is_some));
    std::fs::copy(&other.path, open(&directory).path).unwrap();
    assert!(pass(&open(&directory), &tree, LONG_AFTER).iter().all(Option::is_none));
}

#[test]
fn of_two_writers_the_second_gives_up_and_what_a_killed_one_left_is_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let caches = directory.path().join("caches");
    let tree = wide(2000);
    let cache = open(&directory);
    let mut first = cache.writer();
    for ((parent, name), stat) in &tree {
        let child = Child { name, stat };
        first.push_hashed(&parent.join(&b'/'), &child, &hash_of(stat), HashClock::at(LONG_AFTER));
    }
    pass(&cache, &wide(1500), LONG_AFTER);
    assert!(!cache.path.exists(), "the first had begun to write");
    first.finish().unwrap();
    assert!(pass(&open(&directory), &tree, LONG_AFTER).iter().all(Option::is_some));

    std::fs::write(cache.path.with_added_extension("new"), vec![b'x'; 1 << 20]).unwrap();
    pass(&open(&directory), &wide(1999), LONG_AFTER);
    assert!(pass(&open(&directory), &wide(1999), LONG_AFTER).iter().all(Option::is_some));
    assert_eq!(std::fs::read_dir(caches).unwrap().count(), 2, "the former one is kept to be written over");
}

#[test]
fn a_reader_of_a_cache_that_is_written_over_believes_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let tree = wide(2000);
    pass(&open(&directory), &tree, LONG_AFTER);
    // Opened, and read only after two more were written, of other contents: the second into the very file.
    let former = open(&directory);
    for _ in 0..2 {
        let mut writer = open(&directory).writer();
        for ((parent, name), stat) in &tree {
            let other = hash_of(stat).map(|byte| !byte);
            writer.push_hashed(&parent.join(&b'/'), &Child { name, stat }, &other, HashClock::at(LONG_AFTER));
        }
        writer.finish().unwrap();
    }
    let mut cursor = former.cursor();
    for ((parent, name), stat) in &tree {
        let hit = cursor.lookup(&parent.join(&b'/'), &Child { name, stat });
        assert!(hit.is_none_or(|hit| hit.hash == hash_of(stat)), "{name:?}");
    }
}

#[test]
fn a_dropped_writer_leaves_the_old_cache_and_no_file() {
    let directory = tempfile::tempdir().unwrap();
    pass(&open(&directory), &wide(10), LONG_AFTER);
    let mut writer = open(&directory).writer();
    for number in 0..3000_u64 {
        let (name, stat) = (format!("n{number:05}"), stat(number));
        let child = Child { name: name.as_bytes(), stat: &stat };
        writer.push_hashed(b"d", &child, &hash_of(&stat), HashClock::at(LONG_AFTER));
    }
    assert_eq!(std::fs::read_dir(directory.path().join("caches")).unwrap().count(), 2);
    drop(writer);
    assert_eq!(std::fs::read_dir(directory.path().join("caches")).unwrap().count(), 1);
    assert!(pass(&open(&directory), &wide(10), LONG_AFTER).iter().all(Option::is_some));
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("caches"), b"a file").unwrap();
    let cache = open(&directory);
    let mut writer = cache.writer();
    let stat = stat(1);
    let child = Child { name: b"n", stat: &stat };
    assert!(cache.cursor().lookup(b"", &child).is_none());
    writer.push_hashed(b"", &child, &hash_of(&stat), HashClock::at(LONG_AFTER));
    assert!(writer.finish().is_err());
}

#[test]
fn names_and_paths_too_long_to_record_are_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let long_path = vec![vec![b'd'; layout::MAX_PATH_BYTES + 1]];
    let full_path = vec![vec![b'd'; layout::MAX_PATH_BYTES]];
    let tree = Tree::from([
        ((vec![], vec![b'n'; layout::MAX_NAME_BYTES]), stat(1)),
        ((vec![], vec![b'n'; layout::MAX_NAME_BYTES + 1]), stat(2)),
        ((full_path, b"n".to_vec()), stat(3)),
        ((long_path, b"n".to_vec()), stat(4)),
    ]);
    pass(&open(&directory), &tree, LONG_AFTER);
    let found: Vec<_> = pass(&open(&directory), &tree, LONG_AFTER).iter().map(Option::is_some).collect();
    assert_eq!(found, [true, false, true, false]);
}

#[test]
fn only_files_and_links_are_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = wide(6);
    let kinds = [FileKind::Directory, FileKind::Fifo, FileKind::Socket, FileKind::CharDevice];
    for (stat, kind) in tree.values_mut().zip(kinds) {
        stat.kind = kind;
    }
    pass(&open(&directory), &tree, LONG_AFTER);
    let found: Vec<_> = pass(&open(&directory), &tree, LONG_AFTER).iter().map(Option::is_some).collect();
    assert_eq!(found, [false, false, false, false, true, true]);
}
