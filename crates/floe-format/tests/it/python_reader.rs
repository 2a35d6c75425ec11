//! `tools/floe_read.py`, which was written from `docs/format.md` alone, extracts what this crate stored.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use floe_format::{
    Body, Compressor, FrameId, Kept, LayoutId, OwnedBody, PackId, Parameters, Root, Segment, SegmentBuilder,
    Timestamp,
};
use floe_testkit::bytes_of;

use crate::golden::samples::samples;
use crate::stored::{Stored, format_json, seal, store, write_objects};
use crate::streaming::stream;
use crate::trees::{Member, file, in_order, plain};

/// Whether the reader can run here.
fn can_run() -> bool {
    let found = Command::new("python3").args(["-c", "import zstandard"]).output();
    let can = found.is_ok_and(|output| output.status.success());
    if !can {
        floe_testkit::skip("python3 with zstandard is missing");
    }
    can
}

/// An empty directory for one test.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn extract(store: &Path, reference: &str, destination: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/floe_read.py");
    let arguments = [script.as_os_str(), store.as_os_str(), OsStr::new("default"), OsStr::new(reference)];
    Command::new("python3").args(arguments).arg(destination).output().unwrap()
}

/// Compares a directory with the members that should be in it.
fn compare(directory: &Path, members: &[Member]) {
    let mut found = 0;
    for (entry, content) in members {
        let path = directory.join(OsStr::from_bytes(&entry.path));
        let Ok(stat) = path.symlink_metadata() else {
            assert!(
                matches!(entry.body, OwnedBody::CharDevice { .. } | OwnedBody::BlockDevice { .. }),
                "{path:?}"
            );
            continue;
        };
        found += 1;
        match entry.body.as_body() {
            Body::Directory => assert!(stat.is_dir(), "{path:?}"),
            Body::File { .. } => assert_eq!(&fs::read(&path).unwrap(), content, "{path:?}"),
            Body::Symlink { target } => {
                assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_bytes(), target);
            }
            Body::HardLink { target } => {
                assert_eq!(stat.ino(), directory.join(OsStr::from_bytes(target)).metadata().unwrap().ino());
            }
            Body::Fifo => assert_eq!(stat.mode() & 0o170_000, 0o010_000),
            other => panic!("{other:?} was made"),
        }
        if !stat.is_symlink() {
            assert_eq!(stat.mode() & 0o7777, u32::from(entry.mode) & 0o777, "{path:?}");
        }
        // File systems hold times from 1901 on, some no nanoseconds of others.
        if let Some(time) = entry.mtime.filter(|time| time.seconds > i64::from(i32::MIN)) {
            assert_eq!((stat.mtime(), stat.mtime_nsec()), (time.seconds, i64::from(time.nanos)), "{path:?}");
        }
    }
    assert_eq!(entries_of(directory), found, "there are others");
}

/// Number of entries below a directory, however deep.
fn entries_of(directory: &Path) -> usize {
    let all = Command::new("find").arg(directory).args(["-mindepth", "1", "-printf", "x"]).output().unwrap();
    assert!(all.status.success(), "{all:?}");
    all.stdout.len()
}

#[test]
fn the_python_reader_extracts_the_golden_store() {
    if !can_run() || std::env::var_os("FLOE_REGENERATE").is_some() {
        return;
    }
    let directory = directory("python-reader-golden");
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/store");
    for sample in samples() {
        let name = if sample.name == "empty" { "release/1.0" } else { sample.name };
        let output = extract(&store, name, &directory.join(sample.name));
        assert!(output.status.success(), "{output:?}");
        // Paths longer than the kernel takes can only be counted.
        if sample.name == "deep" {
            assert_eq!(entries_of(&directory.join(sample.name)), sample.members.len());
        } else {
            compare(&directory.join(sample.name), &sample.members);
        }
    }
    let output = extract(&store, "gone", &directory.join("gone"));
    assert!(!output.status.success() && !directory.join("gone").exists());
    fs::remove_dir_all(directory).unwrap();
}

/// Files whose segments are many, a big one that goes through several of them, two packs.
#[test]
fn the_python_reader_extracts_a_tree_of_many_segments() {
    if !can_run() {
        return;
    }
    let p = Parameters {
        group_min: 512,
        group_max: 2048,
        small_max: 2048,
        chunk_min: 512,
        chunk_avg: 1024,
        chunk_max: 4096,
    };
    let mut members = vec![file(b"big", 0o600, &bytes_of(3, 200_000)), file(b"zeros", 0o600, &[0; 100_000])];
    for n in 0..600 {
        if n % 30 == 0 {
            members.push((plain(format!("d{}", n / 30).as_bytes(), 0o750, OwnedBody::Directory), vec![]));
        }
        members.push(file(format!("d{}/file{n}", n / 30).as_bytes(), 0o644, &bytes_of(n as u64, n % 700)));
    }
    for (n, (entry, _)) in (0u32..).zip(&mut members) {
        entry.mtime = Some(Timestamp { seconds: 1_700_000_000 + i64::from(n), nanos: n });
    }
    let members = in_order(members);
    let snapshot = stream(Kept::MTIME, &p, &members, || 5000);
    assert!(snapshot.segments.len() > 20);
    let packs = [PackId::new(1, [1; 10]), PackId::new(1, [2; 10])];
    let mut compressor = Compressor::new(1).unwrap();
    let stored = store(&snapshot, &packs, LayoutId::from_bytes([3; 16]), &mut compressor);
    let directory = directory("python-reader-many");
    let namespace = directory.join("store/default");
    let mut objects = stored.objects();
    // Its name is longer as a part of a key than a file's may be.
    let name = format!("{}x", "a/".repeat(99));
    objects.push(("format.json".to_owned(), format_json(&p)));
    let part = name.replace('/', "%2F");
    let file_name = format!("{}+/{}", &part[..240], &part[240..]);
    objects.push((format!("refs/{file_name}"), stored.reference()));
    write_objects(&namespace, &objects);
    let output = extract(&directory.join("store"), &name, &directory.join("out"));
    assert!(output.status.success(), "{output:?}");
    compare(&directory.join("out"), &members);

    // A header in the frames that the entries would not make is found.
    let key = format!("refs/{file_name}");
    let other = two_truths(&p, &mut compressor);
    write_objects(&namespace, &other.objects());
    write_objects(&namespace, &[(key, other.reference())]);
    let output = extract(&directory.join("store"), &name, &directory.join("other"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not that of the entries"), "{output:?}");
    // What it does not know it refuses.
    let features = "  \"format\": 1,\n  \"features\": [\"encrypted\"]\n}\n";
    write_objects(&namespace, &[("format.json".to_owned(), seal(features))]);
    assert!(!extract(&directory.join("store"), &name, &directory.join("third")).status.success());
    fs::remove_dir_all(directory).unwrap();
}

/// A snapshot with two truths: its frames have another mode for a directory than its entries.
fn two_truths(p: &Parameters, compressor: &mut Compressor) -> Stored {
    let stream_of = |mode| stream(Kept::NONE, p, &[(plain(b"a", mode, OwnedBody::Directory), vec![])], || 1);
    let (mut snapshot, lying) = (stream_of(0o755), stream_of(0o777));
    let segment = Segment::parse(&snapshot.segments[0]).unwrap();
    let mut builder = SegmentBuilder::new(segment.kept());
    builder.add_entry(&segment.entries().next().unwrap().unwrap()).unwrap();
    for frame in &lying.frames {
        builder.add_frame(FrameId::of(frame), frame.len() as u32).unwrap();
    }
    let plain = builder.finish(true).unwrap();
    let mut root = Root::parse(&snapshot.root).unwrap();
    root.items[0].id = FrameId::of(&plain);
    snapshot.root = root.to_bytes().unwrap();
    snapshot.segments = vec![plain];
    snapshot.frames = lying.frames;
    store(&snapshot, &[PackId::new(1, [4; 10])], LayoutId::from_bytes([5; 16]), compressor)
}
