//! Sources that change while they are planned, at a chosen point.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crossbeam_channel::unbounded;
use floe_format::{Entry, Kept, OwnedBody};
use rustix::fs::Mode;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::push::assemble::Assembled;
use crate::source::{Exclusions, SourceFiles, StatCache, Walk, WalkOptions};

/// What is done to a path, and what it is called.
type Deed = (&'static str, fn(&Path));

/// A file with two names, one in the root and one in a directory, and in the root, after the first, a big file.
fn source() -> tempfile::TempDir {
    let source = tempfile::tempdir().unwrap();
    let at = |name: &str| source.path().join(name);
    fs::create_dir(at("zz")).unwrap();
    fs::write(at("a"), "small").unwrap();
    fs::write(at("big"), vec![b'b'; 70_000]).unwrap();
    fs::hard_link(at("a"), at("zz/z")).unwrap();
    source
}

/// Plans this source, and does something when the root is listed and all up to its big file planned, but nothing after
/// it, nor is any directory below listed. Gives the entries that are to be read or stored anew.
fn plan(root: &Path, kept: Kept, deed: impl FnOnce()) -> std::result::Result<Vec<Entry>, Ended> {
    let (planned, entries) = plan_pass(root, kept, false, deed)?;
    assert!(planned.unread.is_empty(), "{:?}", planned.unread);
    Ok(entries)
}

fn plan_pass(
    root: &Path,
    kept: Kept,
    is_last: bool,
    deed: impl FnOnce(),
) -> std::result::Result<(Planned, Vec<Entry>), Ended> {
    let (slot_sender, slots) = bounded(0);
    let (job_sender, jobs) = unbounded();
    let (packs, left_out) = (BasePacks::default(), LeftOut::default());
    let known_frames = KnownFrames::new(Arc::default(), None, None);
    let options = WalkOptions { threads: NonZeroUsize::MIN, look_ahead_bytes: 0, ..WalkOptions::default() };
    let planner = Planner {
        listings: Listings::Walk(Walk::new(root, &options).unwrap()),
        files: InputFiles::Directory(SourceFiles::open(root).unwrap()),
        contents: KnownContents::Cache(StatCache::none().cursor()),
        base: None,
        packs: &packs,
        known_frames: &known_frames,
        made_before: None,
        parameters: Parameters::default(),
        keeping: Keeping { kept, reproducible: false },
        left_out: &left_out,
        is_last,
        skip_unreadable: true,
        workers: 1,
        slots: slot_sender,
        has_changed: false,
        has_other_rules: false,
        packs_began: None,
        seen_rules: &mut SeenRules::default(),
        denied: Vec::new(),
        denied_directories: Vec::new(),
        known: Vec::new(),
        jobs: job_sender,
    };
    std::thread::scope(|scope| {
        let planning = scope.spawn(move || planner.run());
        // It ends the group of the big file, and waits for who takes the content.
        assert!(matches!(slots.recv().unwrap(), Slot::Group(_)));
        deed();
        while slots.recv().is_ok() {}
        let planned = planning.join().unwrap()?;
        let groups = jobs.try_iter().filter_map(|job| match job {
            Job::Group(group) => Some(group.entries.into_iter().map(|planned| planned.entry)),
            Job::File(_) => None,
        });
        Ok((planned, groups.flatten().collect()))
    })
}

fn assert_changed(planned: std::result::Result<Vec<Entry>, Ended>, path: &str) {
    let Err(Ended::Changed(Changed { error, .. })) = planned else { panic!("{path}: {planned:?}") };
    assert_eq!(error.to_string(), format!("{path} changed while it was read"));
    assert_eq!(error.remedy(), Some(crate::Remedy::QuietSource));
}

fn touch(path: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_file_that_changes_between_two_of_its_names_is_planned_again() {
    let deeds: [Deed; 3] = [
        ("mode", |a| fs::set_permissions(a, fs::Permissions::from_mode(0o600)).unwrap()),
        ("content", |a| {
            fs::write(a, "other").unwrap();
            touch(a);
        }),
        ("size", |a| fs::write(a, "another size").unwrap()),
    ];
    for (what, deed) in deeds {
        let source = source();
        let planned = plan(source.path(), Kept::MTIME, || deed(&source.path().join("a")));
        assert!(planned.is_err(), "{what}");
        assert_changed(planned, "zz/z");
    }
}

#[test]
fn a_file_that_gets_another_name_meanwhile_has_its_links_all_the_same() {
    let source = source();
    let at = |name: &str| source.path().join(name);
    let planned = plan(source.path(), Kept::MTIME, || fs::hard_link(at("a"), at("a2")).unwrap()).unwrap();
    let link = planned.iter().find(|entry| entry.path == b"zz/z").unwrap();
    assert_eq!(link.body, OwnedBody::HardLink { target: b"a".to_vec() });
}

#[test]
fn a_directory_that_is_not_there_to_be_listed_is_planned_again() {
    let deeds: [Deed; 3] = [
        ("gone", |_| ()),
        ("a file", |path| fs::write(path, "a file").unwrap()),
        ("a link", |path| symlink("/etc", path).unwrap()),
    ];
    for (what, deed) in deeds {
        let (source, aside) = (source(), tempfile::tempdir().unwrap());
        let directory = source.path().join("zz");
        let planned = plan(source.path(), Kept::MTIME, || {
            fs::rename(&directory, aside.path().join("moved")).unwrap();
            deed(&directory);
        });
        assert!(planned.is_err(), "{what}");
        assert_changed(planned, "zz");
    }
}

/// One that all may read does not come with the content of one that nobody else may.
#[test]
fn a_directory_that_is_exchanged_with_another_is_planned_again() {
    let source = source();
    let at = |name: &str| source.path().join(name);
    fs::create_dir(at("zzz")).unwrap();
    fs::write(at("zzz/secret"), "secret").unwrap();
    fs::set_permissions(at("zzz"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(at("zz"), fs::Permissions::from_mode(0o755)).unwrap();
    let planned = plan(source.path(), Kept::MTIME, || {
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(rustix::fs::CWD, at("zz"), rustix::fs::CWD, at("zzz"), flags).unwrap();
    });
    assert_changed(planned, "zz");
}

/// A source where the kernel never says the same of a file under two names can be pushed all the same.
#[test]
fn a_name_that_still_differs_in_the_last_pass_is_a_file_of_its_own() {
    let source = source();
    let deed = || fs::set_permissions(source.path().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
    let (planned, entries) = plan_pass(source.path(), Kept::MTIME, true, deed).unwrap();
    assert!(planned.unread.is_empty());
    let entry = entries.iter().find(|entry| entry.path == b"zz/z").unwrap();
    assert_eq!((&entry.body, entry.mode), (&OwnedBody::File { size: 5, hash: None }, 0o600));
}

/// Where directories vanish all the time, whoever may leave out what cannot be read gets a snapshot, and is told.
#[test]
fn a_directory_that_is_gone_in_the_last_pass_is_one_that_cannot_be_read() {
    let source = source();
    let deed = || fs::remove_dir_all(source.path().join("zz")).unwrap();
    let (planned, entries) = plan_pass(source.path(), Kept::MTIME, true, deed).unwrap();
    let unread: Vec<_> = planned.unread.iter().map(|unread| unread.path.as_slice()).collect();
    assert_eq!(unread, [b"zz"]);
    assert!(!entries.iter().any(|entry| entry.path == b"zz/z"));
}

/// The times of a symbolic link, its target and its owner are those of one link.
#[test]
fn a_symbolic_link_is_what_was_read() {
    let source = source();
    let link = source.path().join("link");
    symlink("before", &link).unwrap();
    let planned = plan(source.path(), Kept::MTIME, || {
        fs::remove_file(&link).unwrap();
        symlink("after", &link).unwrap();
        let times = rustix::fs::Timespec { tv_sec: 7, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: times, last_modification: times };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, &link, &times, flags).unwrap();
    });
    let planned = planned.unwrap();
    let entry = planned.iter().find(|entry| entry.path == b"link").unwrap();
    assert_eq!(entry.body, OwnedBody::Symlink { target: b"after".to_vec() });
    assert_eq!(entry.mtime, Some(floe_format::Timestamp { seconds: 7, nanos: 0 }));
}

/// What it says where its directory was moved to may be left out there.
#[test]
fn a_symbolic_link_that_changed_where_its_directory_was_moved_to_is_not_of_its_former_path() {
    let plan_moved = |is_open: bool, back: bool, changes: bool| {
        let source = tempfile::tempdir().unwrap();
        let at = |name: &str| source.path().join(name);
        fs::create_dir(at("d")).unwrap();
        // Reading the first opens the directory.
        if is_open {
            symlink("first", at("d/a")).unwrap();
        }
        fs::write(at("d/big"), vec![b'b'; 70_000]).unwrap();
        symlink("before", at("d/link")).unwrap();
        rest();
        plan(source.path(), Kept::MTIME, || {
            fs::rename(at("d"), at("moved")).unwrap();
            if changes {
                fs::remove_file(at("moved/link")).unwrap();
                symlink("secret", at("moved/link")).unwrap();
            }
            if back {
                fs::rename(at("moved"), at("d")).unwrap();
            }
        })
    };
    assert_changed(plan_moved(true, false, true), "d/link");
    // That links vanish with their directory is no state of the source.
    assert_changed(plan_moved(false, false, false), "d/link");
    for (back, changes, target) in [(false, false, "before"), (true, true, "secret")] {
        let planned = plan_moved(true, back, changes).unwrap();
        let entry = planned.iter().find(|entry| entry.path == b"d/link").unwrap();
        assert_eq!(entry.body, OwnedBody::Symlink { target: target.into() });
    }
}

#[test]
fn what_vanished_before_its_xattrs_are_read_is_planned_again() {
    let source = source();
    let path = source.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RWXU).unwrap();
    assert_changed(plan(source.path(), Kept::XATTRS, || fs::remove_file(&path).unwrap()), "fifo");
}

#[test]
fn what_was_replaced_before_its_xattrs_are_read_is_planned_again() {
    let fifo = |path: &Path| rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RWXU).unwrap();
    for is_kept in [false, true] {
        let source = source();
        let (path, other) = (source.path().join("fifo"), source.path().join("other"));
        fifo(&path);
        fifo(&other);
        let kept = if is_kept { Kept::XATTRS } else { Kept::NONE };
        let planned = plan(source.path(), kept, || fs::rename(&other, &path).unwrap());
        if is_kept {
            assert_changed(planned, "fifo");
        } else {
            planned.unwrap();
        }
    }
}

/// A directory in which files come and go is the same one.
#[test]
fn a_directory_may_change_in_its_times_before_its_xattrs_are_read() {
    let source = source();
    let deed = || fs::write(source.path().join("zz/new"), "").unwrap();
    plan(source.path(), Kept::XATTRS, deed).unwrap();
    let deed = || fs::set_permissions(source.path().join("zz"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(source.path().join("zz"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_changed(plan(source.path(), Kept::XATTRS, deed), "zz");
}

fn check_rules(
    planned: &Planned,
    files: &mut InputFiles,
    read: &Assembled,
) -> std::result::Result<(), Ended> {
    planned.rules.check(files, read, &Exclusions::default(), &CancellationToken::new())
}

/// Long enough for what was changed to have been so when a walk begins.
#[expect(clippy::disallowed_methods, reason = "nothing happens by which it could be told")]
fn rest() {
    std::thread::sleep(Duration::from_millis(60));
}

#[test]
fn an_ignore_file_that_had_just_been_written_is_looked_at_again_in_the_end() {
    let source = source();
    let ignore = source.path().join("zz/.floeignore");
    // As somebody leaves it who is about to write it anew.
    fs::write(&ignore, "").unwrap();
    rest();
    let (planned, _) = plan_pass(source.path(), Kept::MTIME, false, || ()).unwrap();
    let mut files = InputFiles::Directory(SourceFiles::open(source.path()).unwrap());
    let mut check = || check_rules(&planned, &mut files, &Assembled::default()).map(|()| Vec::new());
    check().unwrap();
    fs::write(&ignore, "secret").unwrap();
    assert_changed(check(), "zz/.floeignore");
}

#[test]
fn what_ignore_files_keep_out_at_any_moment_is_kept_out() {
    let source = source();
    let at = |name: &str| source.path().join(name);
    let check = |deed: &dyn Fn()| {
        rest();
        let (planned, _) = plan_pass(source.path(), Kept::MTIME, false, deed).unwrap();
        let mut files = InputFiles::Directory(SourceFiles::open(source.path()).unwrap());
        check_rules(&planned, &mut files, &Assembled::default()).map(|()| Vec::new())
    };
    // The rule, then what it is for.
    let added = check(&|| {
        fs::write(at(".floeignore"), "secret").unwrap();
        fs::write(at("zz/secret"), "").unwrap();
    });
    assert_changed(added, ".floeignore");
    // From below to above, while what it is for stays as it is; then without a change of any directory.
    for rules in ["", "# none\n"] {
        fs::write(at("zz/.floeignore"), "secret").unwrap();
        fs::write(at(".floeignore"), "other").unwrap();
        let moved = check(&|| {
            fs::write(at(".floeignore"), "other\nsecret").unwrap();
            match rules {
                "" => fs::remove_file(at("zz/.floeignore")).unwrap(),
                rules => fs::write(at("zz/.floeignore"), rules).unwrap(),
            }
        });
        assert_changed(moved, ".floeignore");
    }
}

/// What is read long after it was listed may be what a rule was made for that came before.
#[test]
fn an_ignore_file_is_looked_at_again_where_a_file_was_read_that_changed_since_it_was_listed() {
    for (file, rule) in [(".floeignore", "zz/new"), ("zz/.floeignore", "new")] {
        let source = source();
        let at = |name: &str| source.path().join(name);
        rest();
        let began = Walk::new(source.path(), &WalkOptions::default()).unwrap().began();
        let (planned, _) = plan_pass(source.path(), Kept::MTIME, false, || ()).unwrap();
        let mut files = InputFiles::Directory(SourceFiles::open(source.path()).unwrap());
        fs::write(at(file), rule).unwrap();
        let mut check = |read: &Assembled| check_rules(&planned, &mut files, read).map(|()| Vec::new());
        // The rule came after all that it could be for.
        check(&Assembled::default()).unwrap();
        fs::write(at("zz/new"), "secret").unwrap();
        let mut read = Assembled::default();
        read.note_read(b"zz/new", &Stat::of_path(&at("zz/new")).unwrap(), Some(began));
        assert_changed(check(&read), file);
        // Where the directory is gone nobody can tell.
        fs::remove_dir_all(at("zz")).unwrap();
        assert_eq!(check(&read).is_ok(), file == "zz/.floeignore");
    }
}

/// Its clock is not that of the root.
#[test]
fn what_is_read_on_another_file_system_is_fresh_whatever_its_times() {
    let source = source();
    let began = Walk::new(source.path(), &WalkOptions::default()).unwrap().began();
    let old = Stat::of_path(&source.path().join("a")).unwrap();
    let long_ago = crate::source::FileTime { seconds: 7, nanos: 1 };
    let old = Stat { modified: long_ago, changed: long_ago, ..old };
    for (device, is_fresh) in [(old.device, false), (old.device + 1, true)] {
        let mut read = Assembled::default();
        read.note_read(b"zz/a", &Stat { device, ..old }, Some(began));
        assert_eq!(read.fresh.contains(&b"zz"[..]), is_fresh);
        for (directory, is_above) in [("", true), ("zz", true), ("z", false), ("zz/a", false)] {
            assert_eq!(read.is_fresh_below(directory.as_bytes()), is_fresh && is_above, "{directory}");
        }
    }
}

/// A directory that was replaced tells of no rules, unless something fresh was read in it.
#[test]
fn a_directory_that_was_replaced_is_planned_again_and_nothing_given_up() {
    let source = source();
    let at = |name: &str| source.path().join(name);
    fs::create_dir_all(at("d/n")).unwrap();
    let replaced = |fresh: &str, deed: &dyn Fn()| {
        rest();
        let began = Walk::new(source.path(), &WalkOptions::default()).unwrap().began();
        let (planned, _) = plan_pass(source.path(), Kept::MTIME, false, || ()).unwrap();
        let mut files = InputFiles::Directory(SourceFiles::open(source.path()).unwrap());
        fs::rename(at("d"), at("old")).unwrap();
        fs::create_dir_all(at("d/n")).unwrap();
        deed();
        fs::remove_dir_all(at("old")).unwrap();
        let mut read = Assembled::default();
        let touched = Stat::of_path(&at("d")).unwrap();
        read.note_read(format!("{fresh}/file").as_bytes(), &touched, Some(began));
        let ended = check_rules(&planned, &mut files, &read);
        let Err(Ended::Changed(changed)) = ended else { panic!("{ended:?}") };
        changed.is_of_rules
    };
    assert!(!replaced("zz", &|| ()));
    assert!(replaced("d/n", &|| ()));
    assert!(replaced("zz", &|| fs::write(at("d/.floeignore"), "secret").unwrap()));
}

#[test]
fn who_is_to_stop_does_not_wait_for_an_ignore_file() {
    let source = source();
    fs::write(source.path().join(".floeignore"), "").unwrap();
    let (planned, _) = plan_pass(source.path(), Kept::MTIME, false, || ()).unwrap();
    let mut files = InputFiles::Directory(SourceFiles::open(source.path()).unwrap());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let ended = planned.rules.check(&mut files, &Assembled::default(), &Exclusions::default(), &cancel);
    assert!(matches!(&ended, Err(Ended::Failed(error)) if error.kind() == ErrorKind::Cancelled), "{ended:?}");
}

#[test]
fn a_file_of_which_the_extended_attributes_may_not_be_read_is_told_of() {
    use rustix::thread::CapabilitySet;
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    rustix::thread::set_capabilities(None, sets).unwrap();
    let source = source();
    let file = source.path().join("zz/closed");
    fs::write(&file, "x").unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&file, "user.k", b"v", flags).is_err() {
        return floe_testkit::skip("no extended attributes here");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let (planned, _) = plan_pass(source.path(), Kept::XATTRS, false, || ()).unwrap();
    let denied: Vec<_> = planned.denied.iter().map(|denied| denied.path.as_slice()).collect();
    assert_eq!(denied, [b"zz/closed"]);
}
