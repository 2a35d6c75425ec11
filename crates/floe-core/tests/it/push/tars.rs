//! Pushing tars: the same snapshot as the directory they were made from.

use std::ffi::OsStr;
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use floe_core::ErrorKind;
use floe_core::source::Exclusions;
use floe_format::Kept;
use floe_testkit::skip;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::*;

impl Bench {
    async fn push_tar(&self, tar: Vec<u8>, options: &PushOptions) -> Result<Pushed> {
        let source = PushSource::Tar(Box::new(Cursor::new(tar)));
        push(&self.namespace, source, &"tar".parse().unwrap(), options, &Arc::default()).await
    }
}

/// What the formats of tars can hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Paths of 255 bytes and whole seconds since 1970.
    Little,
    /// Paths of any length.
    LongPaths,
    /// Fractions of seconds since 1970, but not before: bsdtar writes -1.25 as -2.75.
    SinceEpoch,
    /// All that a snapshot keeps.
    All,
}

/// A tree with every kind of entry that this user may make.
fn fill_every_kind(root: &Path, holds: Holds) {
    fill(root);
    fs::create_dir_all(root.join("kinds/empty")).unwrap();
    write(&root.join("kinds/file"), b"linked");
    fs::hard_link(root.join("kinds/file"), root.join("a-hard-link")).unwrap();
    fs::hard_link(root.join("kinds/file"), root.join("kinds/z-hard-link")).unwrap();
    fs::hard_link(root.join("large"), root.join("kinds/large")).unwrap();
    std::os::unix::fs::symlink("/no/such", root.join("kinds/symlink")).unwrap();
    fs::write(root.join("kinds").join(OsStr::from_bytes(b"not \xff UTF-8\n")), b"name").unwrap();
    let fifo = root.join("kinds/fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let device = rustix::fs::makedev(1, 3);
    if let Err(e) =
        rustix::fs::mknodat(CWD, root.join("kinds/null"), FileType::CharacterDevice, Mode::RUSR, device)
    {
        skip(format_args!("no device in the tree: {e}"));
    }
    let sparse = fs::File::create(root.join("kinds/sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &[b'x'; 4096], 1 << 20).unwrap();
    sparse.set_len(3 << 20).unwrap();
    for (name, mode) in [("setuid", 0o4755), ("locked", 0o400), ("sticky", 0o1777)] {
        let path = root.join("kinds").join(name);
        fs::write(&path, name).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    if holds != Holds::Little {
        let deep = root.join(["long-enough-to-matter"; 15].join("/"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("n".repeat(200)), b"deep").unwrap();
        std::os::unix::fs::symlink("t".repeat(1000), deep.join("link")).unwrap();
    }
    let mut seconds = 1_000_000_000;
    set_times(root, &mut seconds, holds);
}

fn set_times(path: &Path, seconds: &mut i64, holds: Holds) {
    if fs::symlink_metadata(path).unwrap().is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for name in names {
            set_times(&name, seconds, holds);
        }
    }
    *seconds += 1;
    let time = match (holds, *seconds % 4) {
        (Holds::All, 0) => Timespec { tv_sec: -*seconds, tv_nsec: 123_456_789 },
        (Holds::All | Holds::SinceEpoch, 1) => Timespec { tv_sec: *seconds * 5, tv_nsec: 1 },
        (Holds::All | Holds::SinceEpoch, _) => Timespec { tv_sec: *seconds, tv_nsec: 987_654_321 },
        _ => Timespec { tv_sec: *seconds, tv_nsec: 0 },
    };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// The output of a command that writes a tar; nothing where there is no such command.
fn tar_by(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = match Command::new(program).args(arguments).env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => output,
        Err(e) => {
            skip(format_args!("{program}: {e}"));
            return None;
        }
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

const PYTHON: &str = "import sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=int(sys.argv[2])) as out: out.add(sys.argv[1], '.')";

#[tokio::test(flavor = "multi_thread")]
async fn i4_a_tar_is_the_snapshot_of_its_directory() {
    for (holds, programs) in [
        (
            Holds::Little,
            &[
                &["tar", "--format=ustar", "-C", "SOURCE", "-c", "."][..],
                &["bsdtar", "--format=ustar", "-C", "SOURCE", "-cf", "-", "."],
            ][..],
        ),
        (
            Holds::LongPaths,
            &[
                &["tar", "--format=gnu", "-C", "SOURCE", "-c", "."],
                &["tar", "--format=gnu", "--sparse", "-C", "SOURCE", "-c", "."],
                &["tar", "--format=oldgnu", "-C", "SOURCE", "-c", "."],
                &["bsdtar", "--format=gnutar", "-C", "SOURCE", "-cf", "-", "."],
                &["python3", "-c", PYTHON, "SOURCE", "1"],
                &["python3", "-c", PYTHON, "SOURCE", "2"],
            ],
        ),
        (
            Holds::All,
            &[
                &["tar", "--format=posix", "--sort=name", "-C", "SOURCE", "-c", "."],
                &["tar", "--format=posix", "--sparse", "-C", "SOURCE", "-c", "."],
                &["tar", "--format=posix", "--sparse", "--sparse-version=0.0", "-C", "SOURCE", "-c", "."],
                &["tar", "--format=posix", "--sparse", "--sparse-version=0.1", "-C", "SOURCE", "-c", "."],
            ],
        ),
        (Holds::SinceEpoch, &[&["bsdtar", "--format=pax", "-C", "SOURCE", "-cf", "-", "."]]),
    ] {
        let bench = Bench::new().await;
        fill_every_kind(&bench.source(), holds);
        let reproducible = PushOptions { reproducible: true, ..bench.options() };
        let owned = PushOptions { kept: Kept::MTIME | Kept::OWNER, ..bench.options() };
        let mut expected = Vec::new();
        for options in [&bench.options(), &reproducible, &owned] {
            expected.push(bench.push_with(options).await.unwrap());
        }
        for program in programs {
            let source = bench.source();
            let arguments: Vec<_> = program[1..]
                .iter()
                .map(|argument| if *argument == "SOURCE" { source.to_str().unwrap() } else { argument })
                .collect();
            let Some(tar) = tar_by(program[0], &arguments) else { continue };
            for (options, expected) in [&bench.options(), &reproducible, &owned].into_iter().zip(&expected) {
                let pushed = bench.push_tar(tar.clone(), options).await.unwrap();
                assert_eq!(pushed.at.snapshot, expected.at.snapshot, "{program:?} {options:?}");
                assert_eq!((pushed.files, pushed.file_bytes), (expected.files, expected.file_bytes));
                assert_eq!(pushed.reused_tar_bytes, pushed.tar_bytes, "the namespace has it all");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn xattrs_are_taken_from_a_tar() {
    let bench = Bench::new().await;
    write(&bench.source().join("file"), b"1");
    let set = |path: PathBuf| rustix::fs::setxattr(path, "user.floe", b"\0binary\n=", XattrFlags::empty());
    if let Err(e) = set(bench.source()).and_then(|()| set(bench.source().join("file"))) {
        skip(format_args!("no extended attributes here: {e}"));
        return;
    }
    let options = PushOptions { kept: Kept::MTIME | Kept::XATTRS, ..bench.options() };
    let expected = bench.push_with(&options).await.unwrap();
    assert_ne!(expected.at.snapshot, bench.push().await.unwrap().at.snapshot);
    let source = bench.source();
    let source = source.to_str().unwrap();
    for (program, arguments) in [
        ("tar", &["--format=posix", "--xattrs", "-C", source, "-c", "."][..]),
        ("bsdtar", &["--format=pax", "-C", source, "-cf", "-", "."]),
    ] {
        let Some(tar) = tar_by(program, arguments) else { continue };
        let pushed = bench.push_tar(tar, &options).await.unwrap();
        assert_eq!(pushed.at.snapshot, expected.at.snapshot, "{program}");
    }
}

/// A tar of these files, as they come.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(7);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn order_and_repetition_make_no_difference() {
    let bench = Bench::new().await;
    let large = text(1, 400_000);
    let one = tar_of(&[("b/f", b"1"), ("a/large", &large), ("c", b"2")]);
    let other =
        tar_of(&[("c", b"old"), ("a/large", b"small"), ("a/large", &large), ("c", b"2"), ("b/f", b"1")]);
    let first = bench.push_tar(one, &bench.options()).await.unwrap();
    assert!(matches!(first.outcome, PushOutcome::Committed(_)));
    let second = bench.push_tar(other, &bench.options()).await.unwrap();
    assert!(matches!(second.outcome, PushOutcome::Unchanged(_)));
    assert_eq!((second.at, second.reused_files), (first.at, 3));
    // One file of it differs, and little more than that is sent.
    let third = tar_of(&[("b/f", b"changed"), ("a/large", &large), ("c", b"2")]);
    let third = bench.push_tar(third, &bench.options()).await.unwrap();
    assert_eq!(third.reused_files, 2);
    assert!(third.uploaded_bytes < 10_000, "{}", third.uploaded_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_a_tar_that_is_refused_changes_nothing() {
    let bench = Bench::new().await;
    let tar = tar_of(&[("a", b"1"), ("b", &text(1, 5_000))]);
    bench.push_tar(tar.clone(), &bench.options()).await.unwrap();
    let before = bench.store.requests().len();
    for length in (0..tar.len()).step_by(512) {
        let error = bench.push_tar(tar[..length].to_vec(), &bench.options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{length}: {error}");
    }
    let exclusions = Exclusions { gitignore: true, ..Exclusions::default() };
    let options = PushOptions { exclusions, ..bench.options() };
    bench.push_tar(tar, &options).await.unwrap_err();
    assert_eq!(bench.store.requests().len(), before, "the store was not even asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_that_never_comes_can_be_interrupted() {
    let bench = Bench::new().await;
    let (reader, writer) = std::io::pipe().unwrap();
    let options = bench.options();
    options.cancel.cancel();
    let source = PushSource::Tar(Box::new(reader));
    let pushed = push(&bench.namespace, source, &main_ref(), &options, &Arc::default()).await;
    assert_eq!(pushed.unwrap_err().kind(), ErrorKind::Cancelled);
    drop(writer);
}
