//! Tars from strangers: one that is taken is a tree that the format holds, and its canonical tar is taken as the same tree.
#![no_main]

use std::sync::Arc;

use floe_core::ErrorKind;
use floe_core::source::{Exclusions, FileKind, Spool, SpoolOptions, Stat};
use floe_format::{
    Body, ContentHash, EntryRef, Kept, MAX_SEGMENT_ENTRIES, Owner, SegmentBuilder, TAR_BLOCK_BYTES, TAR_END,
    Timestamp, XattrList, compare_paths, parent_and_name, tar_header, tar_padding, validate_path,
};
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio_util::sync::CancellationToken;

/// Files are read to here, and no further: a sparse one is as long as it says.
const READ_BYTES: u64 = 1 << 16;

/// What an entry of the tree is, with buffers of its own.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    path: Vec<u8>,
    stat: Stat,
    target: Vec<u8>,
    content: Vec<u8>,
    hash: Option<[u8; 32]>,
    xattrs: XattrList,
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(choice) = data.last() else { return Corpus::Reject };
    let mut tar = data.to_vec();
    seal(&mut tar);
    if choice & 0x80 == 0 {
        // A tar that ends as it should is more often what it ought to be.
        *tar.last_mut().unwrap() = 0;
        tar.resize(tar.len().next_multiple_of(TAR_BLOCK_BYTES), 0);
        tar.extend_from_slice(&TAR_END);
    }
    let kept = if choice & 1 == 0 { Kept::MTIME | Kept::OWNER | Kept::XATTRS } else { Kept::NONE };
    let globs = if choice & 2 == 0 { vec![] } else { vec!["*b*".to_owned(), "!/d/**".to_owned()] };
    let larger_than_bytes = (choice & 4 != 0).then_some(u64::from(*choice) << 4);
    let exclusions = Exclusions { globs, larger_than_bytes, ..Exclusions::default() };
    let Some(spool) = read(&tar, kept, &exclusions) else { return Corpus::Keep };
    let tree = tree_of(&spool, kept);
    for found in &tree {
        let is_larger = larger_than_bytes.is_some_and(|limit| found.stat.size > limit);
        assert!(found.stat.kind != FileKind::File || !is_larger, "{found:?} was to be left out");
    }
    if choice & 6 == 0 && tree.iter().all(|found| found.stat.size <= READ_BYTES) {
        let again = read(&canonical(&tree), kept, &exclusions).expect("a canonical tar is taken");
        let strip = |tree: Vec<Found>| tree.into_iter().map(stripped).collect::<Vec<_>>();
        assert_eq!(strip(tree_of(&again, kept)), strip(tree));
    }
    Corpus::Keep
});

fn read(tar: &[u8], kept: Kept, exclusions: &Exclusions) -> Option<Arc<Spool>> {
    let directory = std::env::temp_dir();
    let cancel = CancellationToken::new();
    match Spool::read(tar, &SpoolOptions { directory: Some(&directory), exclusions, kept, cancel }) {
        Ok(spool) => Some(Arc::new(spool)),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported), "{error:?}");
            None
        }
    }
}

/// All entries, each of which is one that the format has, after the one before it.
fn tree_of(spool: &Arc<Spool>, kept: Kept) -> Vec<Found> {
    let mut tree: Vec<Found> = Vec::new();
    for listing in spool.listings() {
        let listing = listing.unwrap();
        assert!(listing.problems().is_empty());
        for child in listing.children() {
            let (directory, name) = (listing.path(), child.name);
            let path = [directory, if directory.is_empty() { b"" } else { b"/" }, name].concat();
            validate_path(&path).unwrap();
            assert_eq!(parent_and_name(&path), (directory, name));
            let mut found = Found {
                path,
                stat: *child.stat,
                target: Vec::new(),
                content: Vec::new(),
                hash: spool.content_hash(directory, name).unwrap(),
                xattrs: spool.xattrs(directory, name).unwrap(),
            };
            match child.stat.kind {
                FileKind::File => found.content = content(spool, directory, name, child.stat.size),
                FileKind::Symlink => found.target = spool.read_link(directory, name).unwrap().0,
                _ => assert_eq!(child.stat.size, 0),
            }
            let whole = found.content.len() as u64 == child.stat.size;
            if let Some(hash) = found.hash.filter(|_| whole && child.stat.kind == FileKind::File) {
                assert_eq!(hash, *blake3::hash(&found.content).as_bytes());
            }
            tree.push(found);
        }
    }
    let mut segment = SegmentBuilder::new(kept);
    for (place, entry) in entries(&tree, kept).iter().enumerate() {
        if segment.entry_count() == MAX_SEGMENT_ENTRIES {
            segment = SegmentBuilder::new(kept);
        }
        entry.validate(kept).unwrap();
        segment.add_entry(entry).unwrap();
        let before = place.checked_sub(1).map(|before| &tree[before].path);
        assert!(before.is_none_or(|before| compare_paths(before, entry.path).is_lt()));
        let (parent, _) = parent_and_name(entry.path);
        let above = tree[..place].binary_search_by(|found| compare_paths(&found.path, parent));
        assert!(parent.is_empty() || above.is_ok_and(|at| tree[at].stat.kind == FileKind::Directory));
    }
    tree
}

fn content(spool: &Arc<Spool>, directory: &[u8], name: &[u8], size: u64) -> Vec<u8> {
    let mut file = spool.open_file(directory, name).unwrap();
    assert_eq!(file.stat().size, size);
    let mut content = vec![0; size.min(READ_BYTES) as usize];
    assert_eq!(file.fill(&mut content).unwrap(), content.len());
    if size <= READ_BYTES {
        assert_eq!(file.fill(&mut [0]).unwrap(), 0);
    }
    content
}

/// The entries as a push makes them: names of one file are hard links to the first.
fn entries(tree: &[Found], kept: Kept) -> Vec<EntryRef<'_>> {
    let mut entries = Vec::new();
    for (place, found) in tree.iter().enumerate() {
        let stat = &found.stat;
        let (major, minor) = ((stat.special >> 32) as u32, stat.special as u32);
        let is_same = |other: &&Found| other.stat.kind == FileKind::File && other.stat.inode == stat.inode;
        let first = tree[..place].iter().find(is_same).filter(|_| stat.kind == FileKind::File);
        let names = tree.iter().filter(is_same).count();
        assert!(stat.kind != FileKind::File || names == stat.links as usize, "{found:?} has {names} names");
        let body = match stat.kind {
            FileKind::File if first.is_some() => Body::HardLink { target: &first.unwrap().path },
            FileKind::Directory => Body::Directory,
            FileKind::File => {
                // Of what is not read to its end, any hash will do.
                let hash = (stat.size > 0).then(|| ContentHash::of(&found.content));
                Body::File { size: stat.size, hash }
            }
            FileKind::Symlink => Body::Symlink { target: &found.target },
            FileKind::Fifo => Body::Fifo,
            FileKind::CharDevice => Body::CharDevice { major, minor },
            FileKind::BlockDevice => Body::BlockDevice { major, minor },
            FileKind::Socket => panic!("a tar has no sockets"),
        };
        let kept = if matches!(body, Body::HardLink { .. }) { Kept::NONE } else { kept };
        let modified = Timestamp { seconds: stat.modified.seconds, nanos: stat.modified.nanos };
        let xattrs = if kept.contains(Kept::XATTRS) { found.xattrs.as_xattrs() } else { Default::default() };
        entries.push(EntryRef {
            path: &found.path,
            mode: if stat.kind == FileKind::Symlink { 0o777 } else { stat.mode },
            mtime: kept.contains(Kept::MTIME).then_some(modified),
            owner: kept.contains(Kept::OWNER).then_some(Owner { user: stat.uid, group: stat.gid }),
            body,
            xattrs,
        });
    }
    entries
}

fn canonical(tree: &[Found]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (entry, found) in entries(tree, Kept::MTIME | Kept::OWNER | Kept::XATTRS).iter().zip(tree) {
        tar_header(entry, &mut tar);
        if let Body::File { size, .. } = entry.body {
            tar.extend_from_slice(&found.content);
            tar.resize(tar.len() + tar_padding(size), 0);
        }
    }
    tar.extend_from_slice(&TAR_END);
    tar
}

/// Without what the canonical tar does not tell: times, owners, attributes, a link's own mode, which member it was, and
/// that a hash was not made for a file with holes.
fn stripped(mut found: Found) -> Found {
    let stat = &mut found.stat;
    (stat.inode, stat.uid, stat.gid) = (0, 0, 0);
    stat.modified = Default::default();
    stat.mode = if stat.kind == FileKind::Symlink { 0o777 } else { stat.mode };
    (found.hash, found.xattrs) = (None, XattrList::default());
    found
}

/// Puts checksums and the lengths of records right, so that what is behind them is reached.
fn seal(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(block) =
        tar.get_mut(at..at + TAR_BLOCK_BYTES).filter(|block| block.iter().any(|&b| b != 0))
    {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let (kind, digits) = (block[156], String::from_utf8_lossy(&block[124..135]).into_owned());
        let size = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).unwrap_or(0);
        at += TAR_BLOCK_BYTES;
        let end = at.saturating_add(size).min(tar.len());
        if matches!(kind, b'x' | b'g') {
            seal_records(&mut tar[at..end]);
        }
        at = end.next_multiple_of(TAR_BLOCK_BYTES);
    }
}

/// Records whose lengths have three digits get the right ones.
fn seal_records(mut records: &mut [u8]) {
    while let Some(end) = records.iter().position(|&byte| byte == b'\n') {
        let (record, rest) = records.split_at_mut(end + 1);
        if record.get(3) == Some(&b' ') && record.len() < 1000 {
            let length = format!("{:03}", record.len());
            record[..3].copy_from_slice(length.as_bytes());
        }
        records = rest;
    }
}
