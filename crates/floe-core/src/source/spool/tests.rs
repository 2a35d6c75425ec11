//! Tars made by hand: the odd ones and the hostile ones.

mod hostile;
mod model;
mod odd;

use super::*;
use crate::source::{FileKind, ignore::Exclusions};

/// An entry with a ustar header, content and padding.
fn entry(kind: u8, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    sized(kind, name, link, content.len() as u64, content)
}

/// The same, its header claiming another length.
fn sized(kind: u8, name: &str, link: &str, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    old.linkflag = [kind];
    header.set_size(size);
    header.set_mode(0o640);
    header.set_mtime(1_000_000_007);
    header.set_uid(11);
    header.set_gid(12);
    header.set_device_major(4).unwrap();
    header.set_device_minor(5).unwrap();
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(b'0', name, "", content.as_bytes())
}

fn directory(name: &str) -> Vec<u8> {
    entry(b'5', name, "", b"")
}

/// A PAX header of this type with these records.
fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..).find(|length: &usize| rest + length.to_string().len() == *length).unwrap();
        bytes.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
    }
    entry(kind, "pax", "", &bytes)
}

/// The entries and the end.
fn tar_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn read(tar: &[u8]) -> Result<Arc<Spool>> {
    read_with(tar, &Exclusions::default())
}

fn read_with(tar: &[u8], exclusions: &Exclusions) -> Result<Arc<Spool>> {
    let kept = Kept::MTIME | Kept::OWNER | Kept::XATTRS;
    let cancel = CancellationToken::new();
    Spool::read(tar, &SpoolOptions { directory: None, exclusions, kept, cancel }).map(Arc::new)
}

fn stat_at(spool: &Spool, path: &str) -> Stat {
    spool.tree.stat(spool.tree.find(path.as_bytes(), b"").unwrap()).unwrap()
}

/// What a tar is read as, one line an entry: kind, path, and what it points at or holds.
fn lines(tar: &[u8]) -> Vec<String> {
    describe(&read(tar).unwrap())
}

fn describe(spool: &Arc<Spool>) -> Vec<String> {
    let mut lines = Vec::new();
    for listing in spool.listings().map(Result::unwrap) {
        for child in listing.children() {
            let path = join(listing.path(), child.name);
            let content = match child.stat.kind {
                FileKind::File => {
                    let mut file = spool.open_file(listing.path(), child.name).unwrap();
                    let mut bytes = vec![0; usize::try_from(child.stat.size).unwrap() + 1];
                    let count = file.fill(&mut bytes).unwrap();
                    assert_eq!(count as u64, child.stat.size);
                    if let Some(hash) = spool.content_hash(listing.path(), child.name).unwrap() {
                        assert_eq!(hash, *blake3::hash(&bytes[..count]).as_bytes());
                    }
                    format!("={} ", bytes[..count.min(40)].escape_ascii())
                }
                FileKind::Symlink => {
                    format!("->{} ", spool.read_link(listing.path(), child.name).unwrap().0.escape_ascii())
                }
                _ => String::new(),
            };
            let links = if child.stat.links > 1 { format!("#{} ", child.stat.links) } else { String::new() };
            lines.push(
                format!("{:?} {} {content}{links}", child.stat.kind, path.escape_ascii()).trim().to_owned(),
            );
        }
    }
    lines
}
