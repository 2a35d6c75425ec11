use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::{ContentHash, Entry, OwnedBody, XattrList};

fn entry(path: &[u8], mode: u16, body: OwnedBody) -> Entry {
    Entry { path: path.to_vec(), mode, mtime: None, owner: None, body, xattrs: XattrList::default() }
}

/// A path of exactly `length` bytes.
fn long_path(first: u8, length: usize) -> Vec<u8> {
    let mut path: Vec<u8> = (0..length)
        .map(|i| if i % 41 == 40 { b'/' } else { b"abcdefghijklmnopqrstuvwxyz"[i % 26] })
        .collect();
    path[0] = first;
    path[length - 1] = b'z';
    path
}

/// Entries of every kind, with names, links and sizes around every limit.
fn every_kind() -> Vec<(Entry, Vec<u8>)> {
    let mut entries = vec![
        (entry(b"dir", 0o7755, OwnedBody::Directory), vec![]),
        (entry(b"fifo", 0o600, OwnedBody::Fifo), vec![]),
        (entry(b"char", 0o666, OwnedBody::CharDevice { major: 1, minor: 3 }), vec![]),
        (entry(b"block", 0o660, OwnedBody::BlockDevice { major: 0o7_777_777, minor: 0o7_777_777 }), vec![]),
        (entry(b"not utf-8 \xff\xfe\n=", 0o644, OwnedBody::File { size: 0, hash: None }), vec![]),
        (entry(b"to it", 0o644, OwnedBody::HardLink { target: b"not utf-8 \xff\xfe\n=".to_vec() }), vec![]),
    ];
    for length in [1, 98, 99, 100, 101, 255, 4095] {
        let link = OwnedBody::Symlink { target: long_path(b't', length) };
        entries.push((entry(format!("link{length}").as_bytes(), 0o777, link), vec![]));
    }
    for length in [1, 511, 512, 513, 10_000] {
        let content = vec![b'c'; length];
        let file = OwnedBody::File { size: length as u64, hash: Some(ContentHash::of(&content)) };
        entries.push((entry(format!("file{length}").as_bytes(), 0o755, file), content));
    }
    // Where a record's length gains a digit: 100, 1,000 and 10,000 bytes in all.
    for length in (88..=103).chain(985..=993).chain(9983..=9992).chain([65_535]) {
        entries.push((entry(&long_path(b'd', length), 0o755, OwnedBody::Directory), vec![]));
        entries.push((entry(&long_path(b'f', length), 0o644, OwnedBody::Fifo), vec![]));
        let target = long_path(b'f', length);
        entries.push((entry(&long_path(b'h', length), 0o644, OwnedBody::HardLink { target }), vec![]));
    }
    entries
}

fn archive(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (entry, content) in entries {
        let before = tar.len();
        tar_header(&entry.as_entry(), &mut tar);
        assert_eq!(tar.len() - before, tar_header_len(&entry.as_entry()));
        tar.extend_from_slice(content);
        tar.resize(tar.len() + tar_padding(content.len() as u64), 0);
        assert_eq!((tar.len() - before) as u64, tar_len(&entry.as_entry()));
    }
    tar.extend_from_slice(&TAR_END);
    tar
}

/// What a tool says to a tar on its standard input; nothing where it is missing.
fn listing(tool: &str, arguments: &[&str], tar: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new(tool)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            floe_testkit::skip(format_args!("{tool} is missing: {error}"));
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(tar));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{tool} refuses the tar");
    Some(output.stdout)
}

const PYTHON: &str = r"
import sys, tarfile
with tarfile.open(fileobj=sys.stdin.buffer, mode='r|', encoding='utf-8', errors='surrogateescape') as tar:
    for m in tar:
        fields = [m.name, m.linkname]
        sys.stdout.buffer.write(b'\0'.join(f.encode('utf-8', 'surrogateescape') for f in fields))
        sys.stdout.buffer.write(b'\0%s %o %d %d %d %d %d %d\0' % (
            m.type, m.mode, m.size, m.mtime, m.uid, m.gid, m.devmajor, m.devminor))
        if m.isreg() and m.size < 1 << 20:
            assert tar.extractfile(m).read() == b'c' * m.size
";

fn expected_by_python(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut expected = Vec::new();
    for (entry, _) in entries {
        let (kind, major, minor) = match entry.body {
            OwnedBody::File { .. } => (0, 0, 0),
            OwnedBody::HardLink { .. } => (1, 0, 0),
            OwnedBody::Symlink { .. } => (2, 0, 0),
            OwnedBody::CharDevice { major, minor } => (3, major, minor),
            OwnedBody::BlockDevice { major, minor } => (4, major, minor),
            OwnedBody::Directory => (5, 0, 0),
            OwnedBody::Fifo => (6, 0, 0),
        };
        let (mode, body) = (entry.mode, entry.body.as_body());
        expected.extend_from_slice(&[&entry.path, &b"\0"[..], body.target(), b"\0"].concat());
        write!(expected, "{kind} {mode:o} {} 315532800 0 0 {major} {minor}\0", body.size()).unwrap();
    }
    expected
}

#[test]
fn python_reads_what_was_written() {
    let entries = every_kind();
    if let Some(listed) = listing("python3", &["-c", PYTHON], &archive(&entries)) {
        let expected = expected_by_python(&entries);
        let lines = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\x00", "\n");
        assert_eq!(lines(&listed), lines(&expected));
    }
}

#[test]
fn gnu_tar_and_bsdtar_read_what_was_written() {
    let entries = every_kind();
    let tar = archive(&entries);
    let mut paths = Vec::new();
    for (entry, _) in &entries {
        // GNU tar lists no path over 4 KiB in full length, but it does read them.
        paths.extend_from_slice(&entry.path);
        if matches!(entry.body, OwnedBody::Directory) {
            paths.push(b'/');
        }
        paths.push(b'\n');
    }
    let lines = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\n", "\n");
    if let Some(listed) = listing("tar", &["--quoting-style=literal", "-t"], &tar) {
        assert_eq!(lines(&listed), lines(&paths));
    }
    if let Some(listed) = listing("bsdtar", &["-tf", "-"], &tar) {
        assert_eq!(listed.iter().filter(|&&b| b == b'\n').count(), entries.len());
    }
}

#[test]
fn sizes_over_8_gib_are_read_from_the_pax_header() {
    for (size, header_len) in [(MAX_USTAR_SIZE, 512), (MAX_USTAR_SIZE + 1, 1536), (1 << 60, 1536)] {
        let body = OwnedBody::File { size, hash: Some(ContentHash::of(b"")) };
        let big = entry(b"big", 0o644, body);
        assert_eq!(tar_header_len(&big.as_entry()), header_len);
        let mut header = Vec::new();
        tar_header(&big.as_entry(), &mut header);
        assert_eq!(header.len(), header_len);
        const FIRST: &str = "import sys, tarfile
tar = tarfile.open(fileobj=sys.stdin.buffer, mode='r|')
m = tar.next()
print(m.name, m.size, m.pax_headers.get('size'))";
        if let Some(listed) = listing("python3", &["-c", FIRST], &header) {
            let pax = if header_len > 512 { size.to_string() } else { "None".into() };
            assert_eq!(String::from_utf8(listed).unwrap(), format!("big {size} {pax}\n"));
        }
    }
}

#[test]
fn a_header_is_the_table_of_the_specification() {
    let mut header = Vec::new();
    let entry = entry(b"a/b", 0o4755, OwnedBody::Directory);
    tar_header(&entry.as_entry(), &mut header);
    let mut expected = vec![0; 512];
    for (at, bytes) in [
        (0, &b"a/b/"[..]),
        (100, b"0004755\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, b"00000000000\0"),
        (136, b"02263523000\0"),
        (148, b"        "),
        (156, b"5"),
        (257, b"ustar\x0000"),
        (329, b"0000000\0"),
        (337, b"0000000\0"),
    ] {
        expected[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let sum: u32 = expected.iter().map(|&b| u32::from(b)).sum();
    expected[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(header, expected);
}
