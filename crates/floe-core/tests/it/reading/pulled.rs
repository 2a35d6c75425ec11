//! Pulling to new and existing destinations.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use floe_core::PullOptions;
use floe_format::OwnedBody;
use floe_testkit::{MemoryStore, bytes_of};

use super::fixture::{Making, dir, file, hard_link, node, symlink, write};
use super::{namespace, pull_to};

#[tokio::test]
async fn a_tree_of_all_kinds_comes_back() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let big = bytes_of(1, 300_000);
    let mut sparse = vec![0; 200_000];
    sparse[123_456] = 1;
    let secret = node(b"d/secret", 0, OwnedBody::File { size: 0, hash: None });
    let mut nodes = vec![
        dir("d"),
        dir("d/e"),
        dir("empty"),
        file("a", b"hello"),
        file("d/big", &big),
        file("d/e/sparse", &sparse),
        file("d/nothing", b""),
        file(b"d/\xff\xfe", b"not UTF-8"),
        file([b"d/e/".as_slice(), &[b'n'; 200]].concat(), b"long name"),
        symlink(b"d/link", b"../a"),
        hard_link(b"d/second", b"a"),
        hard_link(b"d/third", b"a"),
        node(b"fifo", 0o600, OwnedBody::Fifo),
        secret,
    ];
    for number in 0..500 {
        nodes.push(file(format!("d/file-{number:03}"), &bytes_of(number, 100 + 7 * number as usize)));
    }
    let at = write(&namespace, nodes.clone(), &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let pulled = pull_to(&namespace, at, &destination, &PullOptions::default()).await.unwrap();
    assert_eq!(pulled.entries, nodes.len() as u64);
    assert_eq!(fs::read(destination.join("a")).unwrap(), b"hello");
    assert_eq!(fs::read(destination.join("d/big")).unwrap(), big);
    assert_eq!(fs::read(destination.join("d/e/sparse")).unwrap(), sparse);
    assert_eq!(fs::metadata(destination.join("d/secret")).unwrap().permissions().mode() & 0o7777, 0);
    assert_eq!(fs::read_link(destination.join("d/link")).unwrap().to_str().unwrap(), "../a");
    assert_eq!(fs::metadata(destination.join("a")).unwrap().nlink(), 3);
    assert!(fs::metadata(destination.join("fifo")).unwrap().file_type().is_fifo());
    let sub = fs::metadata(destination.join("d/e")).unwrap();
    assert_eq!((sub.mtime(), sub.mtime_nsec()), (1_500_000_000, 123_456_789));
    assert_eq!(fs::metadata(&destination).unwrap().mtime(), 1_400_000_000);
    for node in &nodes {
        if let OwnedBody::File { .. } = node.entry.body {
            let path = destination.join(std::ffi::OsStr::from_encoded_bytes_checked(&node.entry.path));
            assert_eq!(fs::read(&path).unwrap(), node.content, "{}", path.display());
        }
    }
    assert_eq!(fs::read_dir(above.path()).unwrap().count(), 1);
}

trait Checked {
    fn from_encoded_bytes_checked(bytes: &[u8]) -> &std::ffi::OsStr;
}

impl Checked for std::ffi::OsStr {
    fn from_encoded_bytes_checked(bytes: &[u8]) -> &std::ffi::OsStr {
        std::os::unix::ffi::OsStrExt::from_bytes(bytes)
    }
}
