//! Trees written and read back, and what must not happen meanwhile.

mod attributes;
mod in_place;
mod living;
mod model;
mod obstacles;
mod others;
mod own;
mod properties;
mod races;
mod rights;
mod spelling;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use floe_testkit::skip;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ErrorKind;

const PLAIN: Meta<'static> = Meta {
    mode: 0o644,
    mtime: Some(Mtime { seconds: 1_000_000_000, nanoseconds: 123_456_789 }),
    owner: None,
    recorded_owner: None,
    xattrs: None,
};
const FOLDER: Meta<'static> = Meta { mode: 0o755, ..PLAIN };

pub(super) fn settings() -> Settings {
    Settings {
        special_bits: false,
        devices: false,
        delete: false,
        stat_written: true,
        looks_only: false,
        own: Vec::new(),
        token: 0xf10e,
        stop: CancellationToken::new(),
    }
}

/// A tree that is written in one of the two ways.
enum Written {
    Staged(Staging),
    InPlace(InPlace),
}

impl Written {
    /// To a destination that is absent; in place, it is made before.
    fn open(destination: &Path, in_place: bool) -> Self {
        if !in_place {
            return Self::Staged(Staging::create(destination, settings()).unwrap());
        }
        fs::create_dir(destination).unwrap();
        Self::InPlace(InPlace::open(destination, settings()).unwrap())
    }

    fn tree(&self) -> &Tree {
        match self {
            Self::Staged(staging) => staging.tree(),
            Self::InPlace(over) => over.tree(),
        }
    }

    /// Puts it to its destination, if it is not there already.
    fn commit(self) {
        if let Self::Staged(staging) = self {
            staging.commit(false).unwrap();
        }
    }
}

/// Whether the test runs with the capabilities of root.
fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(format_args!("not root: {what}"));
    }
    root
}

/// Does something as somebody who is not root, to whom a directory is given before; whoever runs the tests otherwise.
fn unprivileged<T: Send>(directory: &Path, act: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    if !rustix::process::geteuid().is_root() {
        return act();
    }
    std::os::unix::fs::chown(directory, Some(65534), Some(65534)).unwrap();
    // Of this thread alone.
    let as_nobody = || {
        let (user, group) = (Uid::from_raw(65534), Gid::from_raw(65534));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        act()
    };
    std::thread::scope(|scope| scope.spawn(as_nobody).join().unwrap())
}

/// Sets a flag of a file or directory, or takes all away. False where that cannot be.
fn set_flag(path: &Path, flag: rustix::fs::IFlags) -> bool {
    let file = fs::File::open(path).unwrap();
    let set = || rustix::fs::ioctl_setflags(&file, (rustix::fs::ioctl_getflags(&file)? - FLAGS) | flag);
    let can = set().is_ok();
    if !can {
        skip("flags of files cannot be set");
    }
    can
}

const FLAGS: rustix::fs::IFlags = rustix::fs::IFlags::IMMUTABLE.union(rustix::fs::IFlags::APPEND);

fn names_in(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_staged_tree_appears_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    let staging = Staging::create(&dest, settings()).unwrap();
    let tree = staging.tree();
    let mut worker = tree.worker();
    let sub = tree.add_directory(DirId::ROOT, b"sub", &FOLDER).unwrap();
    worker.make_directory(sub, None).unwrap();
    let stat = worker.write_small_file(sub, b"file", &PLAIN, &[b"hello ", b"world"]).unwrap().unwrap();
    worker.finish(Some(&FOLDER)).unwrap();
    drop(worker);
    assert!(!dest.exists());
    staging.commit(true).unwrap();
    assert_eq!(fs::read(dest.join("sub/file")).unwrap(), b"hello world");
    let now = fs::metadata(dest.join("sub/file")).unwrap();
    assert_eq!((stat.inode, stat.device, stat.size), (now.ino(), now.dev(), 11));
    assert_eq!((stat.ctime.seconds, i64::from(stat.ctime.nanoseconds)), (now.ctime(), now.ctime_nsec()));
    assert_eq!((now.mtime(), now.mtime_nsec()), (1_000_000_000, 123_456_789));
    for path in [dest.clone(), dest.join("sub")] {
        let now = fs::metadata(path).unwrap();
        assert_eq!((now.mode() & 0o7777, now.mtime()), (0o755, 1_000_000_000));
    }
    assert_eq!(names_in(dir.path()), ["dest"]);
    // Dropped, it leaves nothing.
    let staging = Staging::create(&dir.path().join("other"), settings()).unwrap();
    let mut worker = staging.tree().worker();
    worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[]).unwrap();
    drop(worker);
    drop(staging);
    assert_eq!(names_in(dir.path()), ["dest"]);
}

#[test]
fn what_appears_in_an_empty_destination_meanwhile_is_a_conflict_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    for is_taken in [false, true] {
        let place = InPlace::open(dir.path(), settings()).unwrap();
        let staging = Staging::within(&place, dir.path(), settings()).unwrap().unwrap();
        let mut worker = staging.tree().worker();
        worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"ours"]).unwrap();
        drop(worker);
        if is_taken {
            fs::write(dir.path().join("file"), "theirs").unwrap();
        }
        let committed = staging.commit(true);
        assert_eq!(committed.err().map(|e| e.kind()), is_taken.then_some(ErrorKind::Conflict));
        let content = if is_taken { "theirs" } else { "ours" };
        assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), content);
        assert_eq!(names_in(dir.path()), ["file"]);
        // What is not empty is not staged in.
        assert!(Staging::within(&place, dir.path(), settings()).unwrap().is_none());
        fs::remove_file(dir.path().join("file")).unwrap();
    }
}

#[test]
fn a_taken_destination_is_a_conflict_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    let staging = Staging::create(&dest, settings()).unwrap();
    // Not even an empty directory is replaced.
    fs::create_dir_all(&dest).unwrap();
    assert_eq!(staging.commit(false).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(names_in(dir.path()), ["dest"]);
    assert_eq!(Staging::create(&dest, settings()).unwrap_err().kind(), ErrorKind::Invalid);
    fs::remove_dir_all(&dest).unwrap();
    fs::write(&dest, b"a file").unwrap();
    assert_eq!(Staging::create(&dest, settings()).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_destination_is_what_it_is_through_any_path() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir_all(at("full/x")).unwrap();
    fs::write(at("file"), b"").unwrap();
    symlink("empty", at("link")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RWXU).unwrap();
    symlink("pipe", at("link to a pipe")).unwrap();
    for (name, occupant) in [
        ("absent", Occupant::Absent),
        ("empty", Occupant::Directory),
        ("empty/", Occupant::Directory),
        ("empty/.", Occupant::Directory),
        ("full/..", Occupant::Directory),
        ("full", Occupant::Directory),
        ("link", Occupant::Directory),
        ("file", Occupant::Other),
        ("dangling", Occupant::Other),
        ("pipe", Occupant::Special),
        ("link to a pipe", Occupant::Special),
    ] {
        assert_eq!(look(&at(name)).unwrap(), occupant, "{name}");
    }
    assert_eq!(look(Path::new("/")).unwrap(), Occupant::Directory);
    assert_eq!(look(Path::new("/proc")).unwrap(), Occupant::Directory);
}

#[test]
fn dead_staging_is_cleared_and_living_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    let dead = dir.path().join(".dest.floe-00000000000000ad");
    fs::create_dir_all(dead.join("deep/er")).unwrap();
    fs::write(dead.join("deep/file"), b"x").unwrap();
    let similar = dir.path().join(".dest.floe-mine");
    fs::create_dir(&similar).unwrap();
    let living = Staging::create(&dest, settings()).unwrap();
    assert!(!dead.exists() && similar.exists());
    let second = Staging::create(&dest, settings()).unwrap();
    let mut worker = living.tree().worker();
    worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"x"]).unwrap();
    drop(worker);
    second.commit(false).unwrap();
    assert_eq!(living.commit(false).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(names_in(dir.path()), [".dest.floe-mine", "dest"]);
}

#[test]
fn a_long_name_can_be_staged() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("n".repeat(255));
    Staging::create(&dest, settings()).unwrap().commit(false).unwrap();
    assert!(dest.is_dir());
}

#[test]
fn i6_names_that_lead_elsewhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::create(&dir.path().join("dest"), settings()).unwrap();
    let tree = staging.tree();
    let mut worker = tree.worker();
    worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[]).unwrap();
    let long = [b'n'; 256];
    for name in [&b""[..], b".", b"..", b"../x", b"/x", b"a/b", b"a\0b", &long] {
        let refused = |kind| assert_eq!(kind, ErrorKind::Corrupt, "{name:?}");
        refused(tree.add_directory(DirId::ROOT, name, &FOLDER).unwrap_err().kind());
        refused(worker.write_small_file(DirId::ROOT, name, &PLAIN, &[]).unwrap_err().kind());
        refused(worker.create_file(DirId::ROOT, name, &PLAIN, 1).unwrap_err().kind());
        refused(worker.symlink(DirId::ROOT, name, b"t", &PLAIN).unwrap_err().kind());
        refused(worker.fifo(DirId::ROOT, name, &PLAIN).unwrap_err().kind());
        refused(worker.hard_link(DirId::ROOT, name, DirId::ROOT, b"file").unwrap_err().kind());
        refused(worker.hard_link(DirId::ROOT, b"new", DirId::ROOT, name).unwrap_err().kind());
        refused(worker.remove(DirId::ROOT, name).unwrap_err().kind());
        let wanted = Wanted { name, kind: WantedKind::File(1), meta: PLAIN };
        refused(worker.fix(DirId::ROOT, &wanted).unwrap_err().kind());
        refused(worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap_err().kind());
    }
    assert!(worker.symlink(DirId::ROOT, b"s", b"", &PLAIN).is_err());
    assert!(worker.symlink(DirId::ROOT, b"s", b"a\0", &PLAIN).is_err());
    let late = Meta { mtime: Some(Mtime { seconds: 0, nanoseconds: 1_000_000_000 }), ..PLAIN };
    assert_eq!(worker.fifo(DirId::ROOT, b"p", &late).unwrap_err().kind(), ErrorKind::Corrupt);
    // Out of order, or twice.
    tree.add_directory(DirId::ROOT, b"b", &FOLDER).unwrap();
    for name in [b"a", b"b"] {
        assert_eq!(tree.add_directory(DirId::ROOT, name, &FOLDER).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    drop(worker);
    drop(staging);
    assert_eq!(names_in(dir.path()), [""; 0]);
}

#[test]
fn i6_a_symlink_of_the_snapshot_is_no_parent() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    for in_place in [false, true] {
        let dest = dir.path().join(format!("dest{in_place}"));
        let written = Written::open(&dest, in_place);
        let tree = written.tree();
        let mut worker = tree.worker();
        worker.symlink(DirId::ROOT, b"link", outside.as_os_str().as_bytes(), &PLAIN).unwrap();
        let link = tree.add_directory(DirId::ROOT, b"link", &FOLDER).unwrap();
        // Never made, so what is there is not a directory.
        for error in [
            worker.write_small_file(link, b"file", &PLAIN, &[b"x"]).unwrap_err(),
            worker.symlink(link, b"file", b"x", &PLAIN).unwrap_err(),
            worker.fifo(link, b"file", &PLAIN).unwrap_err(),
            worker.remove(link, b"file").unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
        if in_place {
            worker.make_directory(link, None).unwrap();
            worker.write_small_file(link, b"file", &PLAIN, &[b"x"]).unwrap();
            worker.finish(None).unwrap();
            assert!(fs::symlink_metadata(dest.join("link")).unwrap().is_dir());
            assert_eq!(names_in(&dest.join("link")), ["file"]);
        } else {
            assert_eq!(worker.make_directory(link, None).unwrap_err().kind(), ErrorKind::Invalid);
        }
        let target = worker.hard_link(DirId::ROOT, b"hard", DirId::ROOT, b"link").unwrap_err();
        assert_eq!(target.kind(), ErrorKind::Corrupt);
    }
    assert_eq!(names_in(&outside), [""; 0]);
}

#[test]
fn zeros_of_big_files_are_holes() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    let staging = Staging::create(&dest, settings()).unwrap();
    let mut worker = staging.tree().worker();
    let mib = 1 << 20;
    let mut content = vec![0_u8; 3 * mib + 5];
    content[mib + 4096 * 3 - 1] = 7;
    content[mib + 4096 * 3] = 8;
    for (name, length) in [(&b"sparse"[..], content.len()), (b"zeros", mib), (b"small", 64 << 10)] {
        let file = worker.create_file(DirId::ROOT, name, &PLAIN, length as u64).unwrap();
        let content = if name == b"sparse" { &content[..] } else { &vec![0; length] };
        // Backwards and unaligned.
        let mut parts: Vec<_> = (0..length).step_by(100_003).collect();
        parts.reverse();
        for start in parts {
            let end = (start + 100_003).min(length);
            file.write_at(start as u64, &content[start..end]).unwrap();
        }
        assert_eq!(file.write_at(length as u64, b"x").unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(file.write_at(u64::MAX, b"x").is_err());
        worker.finish_file(file, &PLAIN).unwrap();
    }
    drop(worker);
    staging.commit(false).unwrap();
    assert_eq!(fs::read(dest.join("sparse")).unwrap(), content);
    assert_eq!(fs::read(dest.join("zeros")).unwrap(), vec![0; mib]);
    let allocated = |name| fs::metadata(dest.join(name)).unwrap().blocks() * 512;
    assert!(allocated("sparse") <= 8192, "{}", allocated("sparse"));
    assert_eq!(allocated("zeros"), 0);
    assert!(allocated("small") >= 64 << 10);
}

#[test]
fn depth_does_not_matter() {
    // In memory where possible: ten thousand directories take a disk half a minute.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let dest = dir.path().join("dest");
    let staging = Staging::create(&dest, settings()).unwrap();
    let tree = staging.tree();
    let mut worker = tree.worker();
    let mut at = DirId::ROOT;
    let mut ids = Vec::new();
    // Two in each, so that those above are opened anew from the bottom.
    for _ in 0..5_000 {
        let next = tree.add_directory(at, b"directory-a", &FOLDER).unwrap();
        let other = tree.add_directory(at, b"directory-b", &FOLDER).unwrap();
        worker.make_directory(next, None).unwrap();
        worker.make_directory(other, None).unwrap();
        ids.push(other);
        at = next;
    }
    for &id in ids.iter().step_by(501) {
        worker.write_small_file(id, b"file", &PLAIN, &[b"x"]).unwrap();
    }
    worker.write_small_file(at, b"bottom", &PLAIN, &[b"x"]).unwrap();
    assert!(worker.write_small_file(at, b"bottom", &PLAIN, &[b"x"]).unwrap_err().to_string().len() < 1500);
    worker.finish(Some(&FOLDER)).unwrap();
    drop(worker);
    staging.commit(false).unwrap();
    let top = fs::metadata(dest.join("directory-a/directory-b")).unwrap();
    assert_eq!(top.mtime(), 1_000_000_000);
    // And away again, without a descriptor or a stack frame for each.
    let over = InPlace::open(&dest, settings()).unwrap();
    over.tree().worker().remove(DirId::ROOT, b"directory-a").unwrap();
    assert_eq!(names_in(&dest), ["directory-b"]);
}

#[test]
fn a_worker_leaves_the_umask_of_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::create(&dir.path().join("dest"), settings()).unwrap();
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
            let worker = staging.tree().worker();
            // Another thread, started before, still has its own.
            drop(worker);
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022)).as_raw_mode()
        });
        assert_eq!(inside.join().unwrap(), 0o022);
    });
    let worker = staging.tree().worker();
    std::thread::scope(|scope| {
        scope.spawn(|| {});
    });
    drop(worker);
}

#[test]
fn messages_show_any_bytes() {
    assert_eq!(names::shown(b"a\xffb\n\\"), "a\\xffb\\n\\\\");
    assert!(names::is_temporary(&names::temporary(u64::MAX, u64::MAX)));
    for name in [
        &b".floe-0123456789abcdef-.tmp"[..],
        b".floe-0123456789abcdef.tmp",
        b".floe-0123456789abcdef-0.tmp.",
        b".floe-0123456789abcdef-0-0.tmp",
        b".floe-0123456789abcde-00.tmp",
        b"x.floe-0123456789abcdef-0.tmp",
        b".floe-0123456789abcdeF-0.tmp",
        b".floe-x.tmp",
        b".floe-.tmp",
    ] {
        assert!(!names::is_temporary(name));
    }
}
