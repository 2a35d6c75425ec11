//! A walk against a naive one, and what is hard on walks: many, deep, gone, forbidden, replaced.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};

use super::huge::CHUNK_NAMES;
use super::reading::READ_AGAIN;
use super::*;

const NO_LOOK_AHEAD: usize = 0;

thread_local! {
    static MEDDLER: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// Called when names were read, before the kernel is asked about them.
pub(super) fn once_names_are_read() {
    if let Some(mut meddle) = MEDDLER.take() {
        meddle();
        MEDDLER.set(Some(meddle));
    }
}

/// Does something each time this thread has read names, told how often that was before. Gives how often it was in all, and
/// what the walk found or why it failed.
fn walk_meddled(
    root: &Path,
    names: Option<&Arc<NameCache>>,
    mut meddle: impl FnMut(usize) + 'static,
) -> (usize, Result<Vec<String>>) {
    let count = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = std::rc::Rc::clone(&count);
    MEDDLER.set(Some(Box::new(move || {
        meddle(counted.get());
        counted.set(counted.get() + 1);
    })));
    let options = WalkOptions { names: names.cloned(), ..options(1, NO_LOOK_AHEAD) };
    let mut found = Ok(Vec::new());
    for listing in Walk::new(root, &options).unwrap() {
        match (listing, &mut found) {
            (Ok(listing), Ok(found)) => found.extend(
                listing
                    .children()
                    .map(|child| String::from_utf8_lossy(&join(&listing.path, child.name)).into()),
            ),
            (Ok(_), Err(_)) => {}
            (Err(error), _) => found = Err(error),
        }
    }
    MEDDLER.set(None);
    (count.get(), found)
}

fn moved(root: &Path, from: &str, to: &str) {
    std::fs::rename(root.join(from), root.join(to)).unwrap();
}

#[test]
fn what_is_moved_while_its_directory_is_listed_is_found_under_one_of_its_names() {
    type Deed = fn(&Path);
    let deeds: [(Deed, &[&str]); 3] = [
        (|root| moved(root, "z", "a"), &["a", "log", "log.1", "x"]),
        // All names that were read are there, but the file that was the second is not.
        (
            |root| {
                moved(root, "log.1", "log.2");
                moved(root, "log", "log.1");
                std::fs::write(root.join("log"), "").unwrap();
            },
            &["log", "log.1", "log.2", "x", "z"],
        ),
        (|root| std::fs::remove_file(root.join("x")).unwrap(), &["log", "log.1", "z"]),
    ];
    for (deed, expected) in deeds {
        for is_known in [false, true] {
            let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            for name in ["log", "log.1", "x", "z"] {
                std::fs::write(root.path().join(name), "").unwrap();
            }
            floe_testkit::wait_until_trusted(root.path());
            let names = is_known.then(|| {
                let known = Arc::new(NameCache::of_source(caches.path(), root.path()));
                walk_meddled(root.path(), Some(&known), |_| ()).1.unwrap();
                known.keep();
                Arc::new(NameCache::of_source(caches.path(), root.path()))
            });
            let path = root.path().to_path_buf();
            let meddle = move |before| {
                if before == 0 {
                    deed(&path);
                }
            };
            let (count, found) = walk_meddled(root.path(), names.as_ref(), meddle);
            assert_eq!((count, found.unwrap()), (2, expected.iter().map(|name| (*name).into()).collect()));
        }
    }
}

#[test]
fn a_directory_in_which_names_never_stand_still_is_listed_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a", "m"] {
        std::fs::write(root.path().join(name), "").unwrap();
    }
    let path = root.path().to_path_buf();
    let meddle = move |before: usize| {
        let (from, to) = if before.is_multiple_of(2) { ("a", "z") } else { ("z", "a") };
        moved(&path, from, to);
    };
    let (count, found) = walk_meddled(root.path(), None, meddle);
    assert_eq!((count, found.unwrap()), (reading::READ_AGAIN + 1, vec!["m".to_owned()]));
}

/// Does one thing and the other by turns.
fn by_turns(path: &Path, deeds: [fn(&Path); 2]) -> impl FnMut(usize) + 'static {
    let path: PathBuf = path.into();
    move |before| deeds[before % 2](&path)
}

#[test]
fn an_ignore_file_that_is_removed_and_made_again_is_heeded() {
    let root = tempfile::tempdir().unwrap();
    let ignore = root.path().join(".floeignore");
    let write: fn(&Path) = |path| std::fs::write(path, "secret\n").unwrap();
    write(&ignore);
    std::fs::write(root.path().join("secret"), "").unwrap();
    let remove: fn(&Path) = |path| std::fs::remove_file(path).unwrap();
    let mut turns = by_turns(&ignore, [remove, write]);
    let (count, found) = walk_meddled(root.path(), None, move |before| {
        if before < 2 {
            turns(before);
        }
    });
    assert_eq!((count, found.unwrap()), (3, vec![".floeignore".to_owned()]));
    // The last time it is not among the names; nothing is stored by what the others say.
    let (count, found) = walk_meddled(root.path(), None, by_turns(&ignore, [remove, write]));
    let error = found.unwrap_err();
    assert_eq!((count, error.to_string()), (4, ".floeignore changed each time it was read".into()));
    assert_eq!(error.remedy(), Some(crate::Remedy::QuietSource));
}

#[test]
fn names_that_vanish_between_two_parts_of_a_huge_directory_are_told() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..=CHUNK_NAMES {
        std::fs::File::create(root.path().join(format!("n{number:05}"))).unwrap();
    }
    for moves in [false, true] {
        let mut walk = Walk::new(root.path(), &options(1, NO_LOOK_AHEAD)).unwrap();
        assert!(!walk.next().unwrap().unwrap().is_short());
        if moves {
            moved(root.path(), &format!("n{CHUNK_NAMES:05}"), "a");
        }
        assert_eq!(walk.next().unwrap().unwrap().is_short(), moves);
        assert!(walk.next().is_none());
    }
}

/// As when something is written aside, under a name that is left out, and put in its place.
#[test]
fn names_that_come_to_a_part_of_a_huge_directory_that_was_listed_are_told() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..=CHUNK_NAMES {
        std::fs::File::create(root.path().join(format!("n{number:05}"))).unwrap();
    }
    std::fs::File::create(root.path().join("z.partial")).unwrap();
    let exclusions = Exclusions { globs: vec!["*.partial".into()], ..Exclusions::default() };
    let options = WalkOptions { exclusions, ..options(1, NO_LOOK_AHEAD) };
    let mut walk = Walk::new(root.path(), &options).unwrap();
    assert!(!walk.next().unwrap().unwrap().is_short());
    moved(root.path(), "z.partial", "a");
    assert!(walk.next().unwrap().unwrap().is_short());
}

#[test]
fn a_directory_that_changes_each_time_it_is_listed_is_told() {
    for changes in [READ_AGAIN, READ_AGAIN + 1] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_owned();
        let mut read = 0;
        MEDDLER.set(Some(Box::new(move || {
            read += 1;
            if read <= changes {
                std::fs::File::create(path.join(format!("{read}"))).unwrap();
            }
        })));
        let listings: Vec<_> = Walk::new(root.path(), &options(1, NO_LOOK_AHEAD)).unwrap().collect();
        MEDDLER.set(None);
        assert_eq!(listings[0].as_ref().unwrap().is_restless(), changes > READ_AGAIN);
    }
}

fn options(threads: usize, look_ahead_bytes: usize) -> WalkOptions {
    let threads = NonZeroUsize::new(threads).unwrap();
    WalkOptions { threads, look_ahead_bytes, ..WalkOptions::default() }
}

/// Every entry as (directory, name) in the order handed out; parts of directories are checked to fit together.
fn walk(root: &Path, options: &WalkOptions) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for listing in Walk::new(root, options).unwrap() {
        let listing = listing.unwrap();
        assert!(listing.problems().iter().all(Problem::is_change), "{:?}", listing.problems());
        assert_eq!(listing.is_first(), open.is_none());
        assert!(open.is_none_or(|path| path == listing.path()));
        open = (!listing.is_last()).then(|| listing.path().to_vec());
        entries.extend(listing.children().map(|child| (listing.path().to_vec(), child.name.to_vec())));
    }
    assert_eq!(open, None);
    entries
}

/// The same, made by collecting everything and sorting it by components.
fn naive(root: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    fn collect(directory: &Path, components: &[Vec<u8>], all: &mut Vec<(Vec<Vec<u8>>, Vec<u8>)>) {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_vec();
            if entry.file_type().unwrap().is_dir() {
                let below = [components, std::slice::from_ref(&name)].concat();
                collect(&entry.path(), &below, all);
            }
            all.push((components.to_vec(), name));
        }
    }
    let mut all = Vec::new();
    collect(root, &[], &mut all);
    all.sort();
    all.into_iter().map(|(directory, name)| (directory.join(&b'/'), name)).collect()
}

fn name_strategy() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::sample::select(vec![&b"a"[..], b"a-", b"a.", b"a0", b"aa", b"b", b"A"]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(prop_oneof![1_u8..=b'.', b'0'..=255], 1..4)
            .prop_filter("dots", |name| !matches!(name.as_slice(), b"." | b"..")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn order_is_that_of_sorted_components(
        paths in prop::collection::vec(prop::collection::vec(name_strategy(), 1..5), 0..40),
        threads in 1_usize..4,
        look_ahead in prop::sample::select(vec![NO_LOOK_AHEAD, 300, 1 << 20]),
    ) {
        let root = tempfile::tempdir().unwrap();
        for path in &paths {
            let mut directory = root.path().to_path_buf();
            let (name, parents) = path.split_last().unwrap();
            directory.extend(parents.iter().map(|name| OsStr::from_bytes(name)));
            // A file may stand where a directory is wanted, and the reverse; either will do.
            if std::fs::create_dir_all(&directory).is_ok() {
                let _ = std::fs::File::create_new(directory.join(OsStr::from_bytes(name)));
            }
        }
        prop_assert_eq!(walk(root.path(), &options(threads, look_ahead)), naive(root.path()));
    }
}

#[test]
fn every_kind_has_its_stat() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    std::fs::write(at("file"), b"12345").unwrap();
    std::fs::set_permissions(at("file"), std::fs::Permissions::from_mode(0o4751)).unwrap();
    std::fs::hard_link(at("file"), at("hard")).unwrap();
    symlink("nowhere", at("link")).unwrap();
    std::fs::create_dir(at("dir")).unwrap();
    rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();

    let listings: Vec<_> =
        Walk::new(root.path(), &WalkOptions::default()).unwrap().map(Result::unwrap).collect();
    let kinds: Vec<_> = listings[0].children().map(|child| (child.name, child.stat.kind)).collect();
    let expected: Vec<(&[u8], FileKind)> = vec![
        (b"dir", FileKind::Directory),
        (b"fifo", FileKind::Fifo),
        (b"file", FileKind::File),
        (b"hard", FileKind::File),
        (b"link", FileKind::Symlink),
        (b"socket", FileKind::Socket),
    ];
    assert_eq!(kinds, expected);
    let file = *listings[0].children().nth(2).unwrap().stat;
    let std = std::fs::metadata(at("file")).unwrap();
    assert_eq!((file.size, file.links, file.mode, file.inode), (5, 2, 0o4751, std.ino()));
    assert_eq!((file.uid, file.gid), (std.uid(), std.gid()));
    assert_eq!(
        i128::from(std.mtime()) * 1_000_000_000 + i128::from(std.mtime_nsec()),
        file.modified.as_nanos()
    );
    assert_eq!(
        i128::from(std.ctime()) * 1_000_000_000 + i128::from(std.ctime_nsec()),
        file.changed.as_nanos()
    );
    assert_eq!(listings[0].stat().inode, std::fs::metadata(root.path()).unwrap().ino());
    assert_eq!(listings[1].path(), b"dir");
}

#[test]
fn a_huge_directory_comes_in_parts_with_its_subdirectories_after_them() {
    for count in [CHUNK_NAMES, CHUNK_NAMES + 1, 3 * CHUNK_NAMES - 1] {
        let root = tempfile::tempdir().unwrap();
        let many = root.path().join("many");
        std::fs::create_dir_all(root.path().join("z")).unwrap();
        std::fs::create_dir(&many).unwrap();
        for number in 0..count {
            let name = many.join(format!("n{}", number * 7919 % count));
            if number % 1000 == 0 {
                std::fs::create_dir_all(name.join("below")).unwrap();
            } else {
                std::fs::File::create(name).unwrap();
            }
        }
        let expected = naive(root.path());
        for (threads, look_ahead) in [(1, NO_LOOK_AHEAD), (2, NO_LOOK_AHEAD), (3, 1 << 30)] {
            assert_eq!(walk(root.path(), &options(threads, look_ahead)), expected);
        }
        let parts = Walk::new(root.path(), &WalkOptions::default()).unwrap().map(Result::unwrap);
        assert_eq!(parts.filter(|part| part.path() == b"many").count(), count.div_ceil(CHUNK_NAMES));
    }
}

/// Makes `depth` directories one in another, each with a second subdirectory and a file, by descriptors alone.
fn dig(root: &Path, name: &str, depth: usize) {
    let open = |at: &OwnedFd, name: &str| {
        rustix::fs::openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .unwrap()
    };
    let mut at = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..depth {
        rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&at, "z", Mode::RWXU).unwrap();
        at = open(&at, name);
    }
}

/// Removes what [`dig`] made: always from the top, so that no path grows long and no stack deep.
fn fill(root: &Path, name: &str) {
    let (top, below) = (root.join(name), root.join("below"));
    while top.exists() {
        std::fs::remove_dir(top.join("z")).ok();
        let deeper = std::fs::rename(top.join(name), &below).is_ok();
        std::fs::remove_dir_all(&top).unwrap();
        if deeper {
            std::fs::rename(&below, &top).unwrap();
        }
    }
}

#[test]
fn ten_thousand_levels_are_walked_with_few_descriptors() {
    let root = tempfile::tempdir().unwrap();
    dig(root.path(), "d", 10_000);
    // All paths together are 100 MB, so only the last is kept.
    let (mut before, mut longest, mut entries) = (None::<Vec<u8>>, 0, 0);
    for listing in Walk::new(root.path(), &WalkOptions::default()).unwrap().map(Result::unwrap) {
        let path = listing.path().to_vec();
        let follows = |before: &Vec<u8>| crate::source::compare_directories(before, &path).is_lt();
        assert!(before.as_ref().is_none_or(follows));
        longest = longest.max(path.len());
        entries += listing.children().len();
        before = Some(path);
    }
    assert_eq!((entries, longest), (20_000, 10_000 * 2 - 1));
    fill(root.path(), "d");
}

#[test]
fn paths_longer_than_the_kernel_takes_are_walked() {
    let root = tempfile::tempdir().unwrap();
    let name = "d".repeat(200);
    dig(root.path(), &name, 100);
    let entries = walk(root.path(), &options(2, 1 << 20));
    assert_eq!(entries.len(), 200);
    assert_eq!(entries.iter().map(|entry| entry.0.len()).max(), Some(99 * 201 - 1));
    fill(root.path(), &name);
}

/// Says when it is dropped that all is over.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_vanishes_meanwhile_is_left_out_and_never_an_error() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("d");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for number in 0..50 {
                    let below = directory.join(format!("{number}/below"));
                    std::fs::create_dir_all(&below).unwrap();
                    std::fs::write(below.join("file"), b"x").unwrap();
                }
                std::fs::remove_dir_all(&directory).unwrap();
            }
        });
        // However this ends, the other thread does, too: it is waited for.
        let stopping = Stopping(&stop);
        let mut seen = 0;
        for _ in 0..300 {
            seen += walk(root.path(), &WalkOptions::default()).len();
        }
        drop(stopping);
        assert!(seen > 0);
    });
}

/// The job after the root's, once the root is listed: what happens to a name between stat and open.
fn second_step(root: &Path, between: impl FnOnce()) -> Vec<Listing> {
    let mut walk = Walk::new(root, &options(1, NO_LOOK_AHEAD)).unwrap();
    let first = walk.next().unwrap().unwrap();
    between();
    std::iter::once(first).chain(walk.map(Result::unwrap)).collect()
}

#[test]
fn a_directory_that_is_gone_or_replaced_before_it_is_opened_is_named_and_nothing_followed() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), b"x").unwrap();
    let deeds: [&dyn Fn(&Path); 3] =
        [&|_| (), &|victim| symlink(outside.path(), victim).unwrap(), &|victim| {
            std::fs::write(victim, "a file").unwrap();
        }];
    for deed in deeds {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        std::fs::create_dir(&victim).unwrap();
        std::fs::create_dir(root.path().join("z")).unwrap();
        let listings = second_step(root.path(), || {
            std::fs::remove_dir(&victim).unwrap();
            deed(&victim);
        });
        assert_eq!(listings.iter().map(Listing::path).collect::<Vec<_>>(), [&b""[..], b"victim", b"z"]);
        assert_eq!(listings[1].children().len(), 0);
        assert_eq!(listings[1].problems()[0].path, b"victim");
        assert!(listings[1].problems()[0].is_change());
        assert!(listings[0].problems().is_empty() && listings[2].problems().is_empty());
    }
}

/// Its content is not stored with the mode and owner that its parent's listing told of another.
#[test]
fn a_directory_that_is_another_when_it_is_opened_is_named_and_not_listed() {
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    type Deed<'a> = (&'a str, &'a dyn Fn(&Path));
    let deeds: [Deed<'_>; 3] = [
        ("exchanged", &|root| {
            let (victim, other) = (root.join("victim"), root.join("zz"));
            rustix::fs::renameat_with(CWD, victim, CWD, other, rustix::fs::RenameFlags::EXCHANGE).unwrap();
        }),
        ("replaced", &|root| {
            std::fs::rename(root.join("victim"), root.join("new")).unwrap();
            std::fs::rename(root.join("zz"), root.join("victim")).unwrap();
            std::fs::create_dir(root.join("zz")).unwrap();
        }),
        ("closed", &|root| mode(&root.join("victim"), 0o700)),
    ];
    for (what, deed) in deeds {
        let root = tempfile::tempdir().unwrap();
        for (name, bits) in [("victim", 0o755), ("zz", 0o711)] {
            std::fs::create_dir(root.path().join(name)).unwrap();
            std::fs::write(root.path().join(name).join("file"), name).unwrap();
            mode(&root.path().join(name), bits);
        }
        let listings = second_step(root.path(), || deed(root.path()));
        assert_eq!(listings[1].path(), b"victim", "{what}");
        assert_eq!(listings[1].children().len(), 0, "{what}");
        assert!(listings[1].problems()[0].is_change(), "{what}");
    }
    // Names that come and go make no other directory of it.
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("victim")).unwrap();
    let listings = second_step(root.path(), || std::fs::write(root.path().join("victim/new"), "").unwrap());
    assert!(listings[1].problems().is_empty());
    assert_eq!(listings[1].children().len(), 1);
}

/// What is opened again from an ancestor that is another by then is not what was listed.
#[test]
fn a_tree_put_in_the_place_of_another_is_not_mixed_with_it() {
    let root = tempfile::tempdir().unwrap();
    for (top, bits) in [("a", 0o755), ("b", 0o711)] {
        std::fs::create_dir_all(root.path().join(top).join("c/d")).unwrap();
        std::fs::set_permissions(root.path().join(top).join("c/d"), PermissionsExt::from_mode(bits)).unwrap();
    }
    let mut walk = Walk::new(root.path(), &options(1, NO_LOOK_AHEAD)).unwrap();
    // The root, a, and a/c, of which all are open; then none.
    for _ in 0..3 {
        walk.next().unwrap().unwrap();
    }
    walk.shared.descriptors.close_all();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    rustix::fs::renameat_with(CWD, a, CWD, b, rustix::fs::RenameFlags::EXCHANGE).unwrap();
    let listing = walk.next().unwrap().unwrap();
    assert_eq!(listing.path(), b"a/c/d");
    assert!(listing.problems()[0].is_change());
}

#[test]
fn what_a_network_file_system_forgot_is_a_change() {
    let problem = |errno: Errno| Problem { path: Vec::new(), error: errno.into() };
    assert!(problem(Errno::STALE).is_change());
    assert!(!problem(Errno::IO).is_change());
}

/// Takes from this thread, and those it starts, what lets root read everything.
fn give_up_reading_everything() {
    use rustix::thread::CapabilitySet;
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    rustix::thread::set_capabilities(None, sets).unwrap();
}

#[test]
fn what_cannot_be_read_is_named_and_the_walk_goes_on() {
    give_up_reading_everything();
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("a")).unwrap();
    std::fs::create_dir(root.path().join("b")).unwrap();
    std::fs::write(root.path().join("b/file"), b"").unwrap();
    std::fs::set_permissions(root.path().join("a"), std::fs::Permissions::from_mode(0o000)).unwrap();
    let listings: Vec<_> =
        Walk::new(root.path(), &WalkOptions::default()).unwrap().map(Result::unwrap).collect();
    std::fs::set_permissions(root.path().join("a"), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(listings.len(), 3);
    assert_eq!(listings[1].problems()[0].path, b"a");
    assert_eq!(listings[1].problems()[0].error.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(!listings[1].problems()[0].is_change());
    assert_eq!(listings[2].children().len(), 1);
}

#[test]
fn a_dropped_walk_stops_its_threads() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..200 {
        std::fs::create_dir_all(root.path().join(format!("{number}/below"))).unwrap();
    }
    for taken in [0, 1, 100] {
        let mut walk = Walk::new(root.path(), &options(4, 1 << 20)).unwrap();
        walk.by_ref().take(taken).for_each(|listing| drop(listing.unwrap()));
        let shared = Arc::downgrade(&walk.shared);
        drop(walk);
        assert!(shared.upgrade().is_none(), "a thread outlived its walk");
    }
}

#[test]
fn a_root_that_is_no_directory_is_an_error_and_a_link_to_one_is_followed() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(Walk::new(&file, &WalkOptions::default()).is_err());
    assert_eq!(
        Walk::new(&root.path().join("none"), &WalkOptions::default()).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let link = root.path().join("link");
    symlink(root.path(), &link).unwrap();
    assert_eq!(walk(&link, &WalkOptions::default()).len(), 2);
}
