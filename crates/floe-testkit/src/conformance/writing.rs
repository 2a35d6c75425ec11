//! Writing, one writer at a time.

use bytes::Bytes;
use floe_core::ErrorKind;
use floe_core::store::{PART_BYTES, Part, PutMode, Upload};
use std::sync::Arc;

use super::{Subject, assert_kind};
use crate::{bytes_of, interesting_sizes};

pub(super) async fn conditions(subject: &Subject) {
    let store = &subject.store;
    let key = subject.key("writing/conditions");
    let put = |body: &'static str, mode| store.put(&key, Bytes::from_static(body.as_bytes()), mode);

    // A version as this store makes them: some refuse what cannot be one as nonsense.
    let another = subject.create(&subject.key("writing/another"), "another").await.unwrap();
    assert_kind(put("z", PutMode::Swap(another)).await, ErrorKind::Conflict);
    assert_eq!(store.head(&key).await.unwrap(), None, "a refused swap makes nothing");

    let one = put("one", PutMode::Create).await.unwrap();
    assert_kind(put("other", PutMode::Create).await, ErrorKind::Conflict);
    assert_eq!(subject.read(&key).await, "one");

    let two = put("two", PutMode::Swap(one.clone())).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(store.get(&key, 10).await.unwrap(), (Bytes::from_static(b"two"), two.clone()));
    assert_kind(put("three", PutMode::Swap(one)).await, ErrorKind::Conflict);
    assert_eq!(subject.read(&key).await, "two");

    let four = put("four", PutMode::Overwrite).await.unwrap();
    assert_kind(put("five", PutMode::Swap(two)).await, ErrorKind::Conflict);
    assert_eq!(store.get(&key, 10).await.unwrap().1, four);
    put("five", PutMode::Swap(four)).await.unwrap();
}

pub(super) async fn deleting(subject: &Subject) {
    let store = &subject.store;
    let key = subject.key("writing/deleting");
    store.delete(&key).await.unwrap();
    let version = subject.create(&key, "x").await.unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(store.head(&key).await.unwrap(), None);
    assert_kind(store.get(&key, 10).await, ErrorKind::NotFound);
    assert_eq!(subject.names("writing/deleting").await, [""; 0]);
    store.delete(&key).await.unwrap();
    assert_kind(store.put(&key, Bytes::from_static(b"y"), PutMode::Swap(version)).await, ErrorKind::Conflict);
}

pub(super) async fn uploads(subject: &Subject) {
    for size in interesting_sizes(PART_BYTES) {
        let key = subject.key(&format!("uploads/{size}"));
        let body = bytes_of(7, size);
        let mut upload = Upload::new(Arc::clone(&subject.store), key.clone());
        // Pieces that do not fit into parts.
        for start in (0..size).step_by(3_000_001) {
            upload.write(body.slice(start..size.min(start + 3_000_001))).await.unwrap();
            assert_eq!(subject.store.head(&key).await.unwrap(), None, "visible before it is finished");
        }
        assert_eq!(upload.written_bytes(), size as u64);
        upload.finish().await.unwrap();
        assert!(subject.read(&key).await == body, "{size} bytes come back changed");
    }
}

pub(super) async fn aborted_uploads(subject: &Subject, also_twice: bool) {
    let body = bytes_of(8, 2 * PART_BYTES + 1);
    for name in ["aborted", "dropped"] {
        let key = subject.key(&format!("aborts/{name}"));
        let mut upload = Upload::new(Arc::clone(&subject.store), key.clone());
        upload.write(body.clone()).await.unwrap();
        match name {
            "aborted" => upload.abort().await.unwrap(),
            _ => drop(upload),
        }
        assert_eq!(subject.store.head(&key).await.unwrap(), None);
    }
    assert_eq!(subject.names("aborts/").await, [""; 0]);

    if !also_twice {
        return;
    }
    let key = subject.key("aborts/twice");
    let id = subject.store.start_parts(&key).await.unwrap();
    subject.store.abort_parts(&key, &id).await.unwrap();
    subject.store.abort_parts(&key, &id).await.unwrap();
    let part = Part { index: 0, offset_bytes: 0 };
    // So short that a server which answers before it has read all of it does not reset the connection.
    assert_kind(subject.store.put_part(&key, &id, part, body.slice(..1000)).await, ErrorKind::NotFound);
    assert_eq!(subject.store.head(&key).await.unwrap(), None);
}
