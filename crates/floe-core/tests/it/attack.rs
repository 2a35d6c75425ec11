//! What bad input, bad luck and bad timing get.

mod corruption;
mod dead_disk;
mod power_loss;
mod restless;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use floe_core::store::Store;
use floe_core::{
    Ambient, Namespace, NamespaceName, PushOptions, PushSource, Pushed, RefName, Result, SnapshotAt,
    VerifyOptions, push, verify,
};

/// Opens the namespace, which is made where it is not there.
async fn namespace(store: impl Store) -> Namespace {
    Namespace::open_or_create(Arc::new(store), NamespaceName::default(), Ambient::default()).await.unwrap()
}

fn name(name: &str) -> RefName {
    name.parse().unwrap()
}

/// Two workers and no cache.
fn plain_push() -> PushOptions {
    PushOptions { workers: 2, ..PushOptions::default() }
}

async fn push_to(
    namespace: &Namespace,
    source: &Path,
    reference: &str,
    options: &PushOptions,
) -> Result<Pushed> {
    let source = PushSource::Directory(source.to_owned());
    push(namespace, source, &name(reference), options, &Arc::default()).await
}

/// What a ref names.
async fn named(namespace: &Namespace, reference: &str) -> Option<SnapshotAt> {
    let (record, _) = namespace.read_ref(&name(reference)).await.unwrap()?;
    record.current.at()
}

/// Verifies all refs, and expects nothing to be wrong.
async fn assert_clean(namespace: &Namespace, told: &str) {
    let verified = verify(namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!(verified.damages, [], "{told}");
}

/// All of a tree that a push can keep, by path.
type Tree = Vec<(OsString, String)>;

/// Reads a tree from disk.
fn tree(root: &Path) -> Tree {
    let mut found = Vec::new();
    let mut links = HashMap::new();
    read(root, Path::new(""), &mut links, &mut found);
    found
}

fn read(root: &Path, path: &Path, links: &mut HashMap<u64, OsString>, found: &mut Tree) {
    let full = root.join(path);
    let stat = fs::symlink_metadata(&full).unwrap();
    let kind = stat.file_type();
    let mut xattrs = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(&full, &mut xattrs[..]).unwrap_or(0);
    xattrs.truncate(length);
    let what = if kind.is_file() {
        let first = links.entry(stat.ino()).or_insert_with(|| path.as_os_str().to_owned());
        format!("{:?} {} {}", first, stat.len(), blake3::hash(&fs::read(&full).unwrap()))
    } else if kind.is_symlink() {
        format!("-> {:?}", fs::read_link(&full).unwrap())
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else if kind.is_dir() {
        "directory".to_owned()
    } else {
        format!("{kind:?} {}", stat.rdev())
    };
    let mode = if kind.is_symlink() { 0 } else { stat.mode() };
    let xattrs = OsString::from_vec(xattrs);
    let line = format!("{mode:o} {}.{:09} {what} {xattrs:?}", stat.mtime(), stat.mtime_nsec());
    found.push((path.as_os_str().to_owned(), line));
    if kind.is_dir() {
        let mut names: Vec<_> =
            fs::read_dir(&full).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for name in names {
            read(root, &path.join(name), links, found);
        }
    }
}
